-- Serves HEAD as a GET whose body stays here: the transcoder knows no HEAD.

function envoy_on_request(handle)
  handle:headers():replace(":method", "GET")
end

function envoy_on_response(handle)
  for chunk in handle:bodyChunks() do
    chunk:setBytes("")
  end
end
