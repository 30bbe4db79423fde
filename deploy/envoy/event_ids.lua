-- Lets a reader of server-sent events resume: each event's `id` is its cursor, and a reader that reconnects sends the
-- last one back as the header last-event-id. Above this text stands START, the parameters that say where to begin.

local function escaped(text)
  return (text:gsub("[^%w._~-]", function(character)
    return string.format("%%%02X", character:byte())
  end))
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local last = headers:get("last-event-id")
  if not last or last == "" then
    return
  end
  local path, query = headers:get(":path"):match("^([^?]*)%??(.*)$")
  local kept = {"cursor=" .. escaped(last)}
  for part in query:gmatch("[^&]+") do
    if not START[part:match("^[^=]*")] then
      kept[#kept + 1] = part
    end
  end
  headers:replace(":path", path .. "?" .. table.concat(kept, "&"))
end

function envoy_on_response(handle)
  if handle:headers():get("content-type") ~= "text/event-stream" then
    return
  end
  for chunk in handle:bodyChunks() do
    local text = chunk:getBytes(0, chunk:length())
    chunk:setBytes((text:gsub('data: ([^\n]*"cursor":"([^"]+)"[^\n]*\n)', "id: %2\ndata: %1")))
  end
end
