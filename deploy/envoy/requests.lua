-- Checks a REST request against the contract before it becomes gRPC. Each field may be set in one place, once, under a
-- name that the contract knows; the transcoder would take the last of several, and drop a name that it does not know.
-- Above this text stand BINDINGS, MESSAGES, READ, MAX_BYTES and MAX_ENTRIES, which scripts.py writes.

local DEEPEST = 64
local SMALL_N = 110
local LONGEST_NAME = 64
local QUOTE, COMMA, COLON, BRACKET, BACKSLASH, BRACKET_END, BRACE, BRACE_END = 34, 44, 58, 91, 92, 93, 123, 125

-- A message's fields, by each of their spellings.
for name, fields in pairs(MESSAGES) do
  local by_spelling = {}
  for _, field in ipairs(fields) do
    for _, spelling in ipairs(field.spellings) do
      by_spelling[spelling] = field
    end
    field.name = field.spellings[1]
    field.values = {kind = field.message and "object" or "value", message = field.message}
  end
  MESSAGES[name] = by_spelling
end

-- The bindings by verb and by the number of slashes, with the fields that the path holds.
local BY_SHAPE = {}
for _, binding in ipairs(BINDINGS) do
  binding.fields, binding.path = MESSAGES[binding.request], {}
  for _, variable in ipairs(binding.variables) do
    binding.path[binding.fields[variable]] = true
  end
  local shape = binding.verb .. binding.slashes
  BY_SHAPE[shape] = BY_SHAPE[shape] or {}
  table.insert(BY_SHAPE[shape], binding)
end

-- Ends the check with an answer. Other errors than these tables are faults of this script.
local function refuse(status, ...)
  error({status = status, message = table.concat({...})})
end

-- Returns a caller's name in a form that a message can repeat.
local function shown(name)
  local short = #name > LONGEST_NAME and name:sub(1, LONGEST_NAME) .. "..." or name
  return (short:gsub("[^%w%._:@$*%[%]-]", "?"))
end

local function squashed(name)
  return (name:lower():gsub("_", ""))
end

-- Returns ". Did you mean validateOnly?" where a name differs in capitals and underscores only.
local function suggestion(fields, name)
  for _, field in pairs(fields) do
    if squashed(field.name) == squashed(name) then
      return ". Did you mean " .. field.name .. "?"
    end
  end
  return ". The API reference lists the names."
end

-- Query -----------------------------------------------------------------------------------------------------------

local function decoded(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function is_bound(binding, field)
  if binding.path[field] then
    refuse("400", field.name, " is in the path. Leave it out of the query.")
  elseif binding.body == "*" or binding.body == field.name then
    refuse("400", field.name, " is set in the body. Leave it out of the query.")
  end
end

-- Returns the field that a parameter such as `filter.planId` sets, and its path in one spelling.
local function parameter(binding, name)
  local fields, field, path = binding.fields, nil, nil
  for part in (name .. "."):gmatch("([^.]*)%.") do
    if not fields or (field and field.list) then
      refuse("400", shown(name), " is no parameter of this path", suggestion({}, name))
    end
    local outer = field
    field = fields[part]
    if not field then
      refuse("400", shown(name), " is no parameter of this path", suggestion(outer and {} or fields, name))
    end
    if not outer then
      is_bound(binding, field)
    end
    path = path and path .. "." .. field.name or field.name
    fields = field.kind == "object" and MESSAGES[field.message] or nil
  end
  if field.kind ~= "value" then
    refuse("400", shown(name), " can't be set in a query. Set its fields one by one.")
  end
  return field, path
end

local function check_query(binding, query)
  local seen, groups = {}, {}
  for part in query:gmatch("[^&]+") do
    local raw = part:match("^[^=]*")
    local field, path = nil, raw
    if raw ~= "tenant" then
      field, path = parameter(binding, decoded(raw))
    end
    if seen[path] and not (field and field.list) then
      refuse("400", shown(path), " is given twice. Send it once.")
    end
    seen[path] = true
    local group = field and field.group
    if group and groups[group] then
      refuse("400", shown(path), " and ", shown(groups[group]), " exclude each other. Send one of them.")
    elseif group then
      groups[group] = path
    end
  end
end

-- Body ------------------------------------------------------------------------------------------------------------

local function malformed(at)
  refuse("400", "The body is not valid JSON at byte ", tostring(at), ". Correct it.")
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

-- Returns the place of the quote that ends a string: the first behind an even number of backslashes.
local function string_end(text, at)
  local stop, first = at, at
  repeat
    stop = text:find('"', stop + 1, true) or malformed(at)
    first = stop
    while text:byte(first - 1) == BACKSLASH do
      first = first - 1
    end
  until (stop - first) % 2 == 0
  return stop
end

local function utf8(code)
  if code < 0x80 then
    return string.char(code)
  elseif code < 0x800 then
    return string.char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40)
  end
  return string.char(0xE0 + math.floor(code / 0x1000), 0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
end

local ESCAPES = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/"}

-- Returns a name without its escapes, so that two spellings of one name are equal. The halves of a pair stay halves.
local function unescaped(name, at)
  return (name:gsub("\\(.)(%x?%x?%x?%x?)", function(character, digits)
    if character == "u" and #digits == 4 then
      return utf8(tonumber(digits, 16))
    end
    return (ESCAPES[character] or malformed(at)) .. digits
  end))
end

-- The names and indices that lead to the value under check, by its depth.
local trail = {}

local function location(depth)
  local where = ""
  for level = 1, depth do
    local step = trail[level]
    where = where .. (type(step) == "number" and "[" .. step .. "]" or (level > 1 and "." or "") .. shown(step))
  end
  return where
end

local function check_kind(field, byte, depth, element)
  if field.list and not element then
    if byte ~= BRACKET then
      refuse("400", location(depth), " must be a list.")
    end
  elseif byte == BRACKET then
    refuse("400", location(depth), " must not be a list.")
  elseif byte == BRACE and field.kind == "value" then
    refuse("400", location(depth), " must be a single value, not an object.")
  elseif byte ~= BRACE and field.kind ~= "value" then
    refuse("400", location(depth), " must be an object.")
  end
end

-- Returns the field of a name, or nil where names are data, and the name in one spelling.
local function member(fields, name, depth, bound)
  if not fields then
    return nil, name
  end
  local field = fields[name]
  trail[depth] = name
  if not field then
    refuse("400", location(depth), " is no field of the body", suggestion(fields, name))
  elseif bound and bound[field] then
    refuse("400", field.name, " is in the path. Leave it out of the body.")
  end
  return field, field.name
end

local value

-- Checks an object that begins at a place: its names are of `fields`, or its values are of the field `values`.
local function object(text, at, fields, values, depth, bound)
  local seen = {}
  at = skip(text, at + 1)
  if text:byte(at) == BRACE_END then
    return at + 1
  end
  while true do
    if text:byte(at) ~= QUOTE then
      malformed(at)
    end
    local stop = string_end(text, at)
    local name = text:sub(at + 1, stop - 1)
    local field
    field, name = member(fields, name:find("\\", 1, true) and unescaped(name, at) or name, depth, bound)
    trail[depth] = name
    if seen[name] then
      refuse("400", location(depth), " is given twice. Send it once.")
    end
    seen[name] = true
    at = skip(text, stop + 1)
    if text:byte(at) ~= COLON then
      malformed(at)
    end
    at = skip(text, value(text, skip(text, at + 1), field or values, depth, false))
    local byte = text:byte(at)
    if byte == BRACE_END then
      return at + 1
    elseif byte ~= COMMA then
      malformed(at)
    end
    at = skip(text, at + 1)
  end
end

local function list(text, at, field, depth)
  local index = 0
  at = skip(text, at + 1)
  if text:byte(at) == BRACKET_END then
    return at + 1
  end
  while true do
    trail[depth] = index
    at = skip(text, value(text, at, field, depth, true))
    local byte = text:byte(at)
    if byte == BRACKET_END then
      return at + 1
    elseif byte ~= COMMA then
      malformed(at)
    end
    at, index = skip(text, at + 1), index + 1
  end
end

local PLAIN = {"^-?%d+%.?%d*[eE]?[-+]?%d*", "^true", "^false"}

-- Returns the place behind a number or a boolean.
local function plain(text, at)
  for _, pattern in ipairs(PLAIN) do
    local _, last = text:find(pattern, at)
    if last then
      return last + 1
    end
  end
  malformed(at)
end

-- Checks the value that begins at a place, and returns the place behind it.
value = function(text, at, field, depth, element)
  local byte = text:byte(at)
  if byte == SMALL_N and text:find("^null", at) then
    return at + 4
  elseif depth > DEEPEST then
    refuse("400", "The body is nested deeper than ", tostring(DEEPEST), " levels.")
  elseif field and field.kind ~= "any" then
    check_kind(field, byte, depth, element)
  end
  if byte == QUOTE then
    return string_end(text, at) + 1
  elseif byte == BRACE then
    local is_map = field and field.kind == "map"
    local fields = field and not is_map and MESSAGES[field.message] or nil
    return object(text, at, fields, is_map and field.values or nil, depth + 1)
  elseif byte == BRACKET then
    return list(text, at, field, depth + 1)
  end
  return plain(text, at)
end

-- Checks a body whose names are fields of the request, or of the one field that the body holds.
local function check_object(binding, text)
  local at = skip(text, 1)
  if text:byte(at) ~= BRACE then
    refuse("400", "The body must be a JSON object, as {\"name\": \"value\"}.")
  end
  local whole = binding.body == "*"
  local fields = whole and binding.fields or MESSAGES[binding.fields[binding.body].message]
  at = skip(text, object(text, at, fields, nil, 1, whole and binding.path or nil))
  if at <= #text then
    refuse("400", "The body must end behind its JSON object; byte ", tostring(at), " follows it.")
  end
end

local function check_body(binding, text)
  if binding.body then
    check_object(binding, text)
  elseif not text:find("^%s*{%s*}%s*$") then
    refuse("400", "This path reads no body. Send the fields in the query.")
  end
end

-- Request ---------------------------------------------------------------------------------------------------------

local function find_binding(verb, path)
  local trimmed = path:gsub("/+$", "")
  -- The transcoder takes the verb of such a path for a part of the name before it.
  local ambiguous = trimmed ~= path and trimmed:find(":", 1, true)
  local _, slashes = trimmed:gsub("/", "")
  for _, binding in ipairs(BY_SHAPE[verb .. slashes] or {}) do
    if not ambiguous and trimmed:find(binding.pattern) then
      return binding
    end
  end
  refuse("404", "Nothing is served at this path. The API reference lists the paths.")
end

-- Leaves out values that gRPC can't carry, and refuses more headers than the services take.
local function clean(headers)
  local bytes, entries, unreadable = 0, 0, {}
  for name, text in pairs(headers) do
    if text:find("[^ -~]") and not READ[name] and name:byte(1) ~= COLON then
      unreadable[#unreadable + 1] = name
    else
      bytes, entries = bytes + #name + #text, entries + 1
    end
  end
  for _, name in ipairs(unreadable) do
    headers:remove(name)
  end
  if bytes > MAX_BYTES or entries > MAX_ENTRIES then
    refuse("431", "too large")
  end
end

local function answer(handle, ok, problem)
  if ok then
    return
  elseif type(problem) == "table" and problem.status then
    handle:respond({[":status"] = problem.status}, problem.message)
  end
  -- A fault here must not let a request pass unchecked.
  handle:logErr(tostring(problem))
  handle:respond({[":status"] = "500"}, "")
end

local function read_head(headers)
  clean(headers)
  local path, query = headers:get(":path"):match("^([^?]*)%??(.*)$")
  local binding = find_binding(headers:get(":method"), path)
  check_query(binding, query)
  return binding
end

function envoy_on_request(handle)
  local ok, binding = pcall(read_head, handle:headers())
  answer(handle, ok, binding)
  local body = handle:body()
  if body and body:length() > 0 then
    answer(handle, pcall(check_body, binding, body:getBytes(0, body:length())))
  end
end
