// A Node service as a neighbour would write it: Node's own gRPC client, and the committed descriptor set or the protos.
// Usage: node client.js TARGET CONTRACT SLUG, the operator's key in OPERATOR_KEY. Prints what happened as JSON.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [target, contract, slug] = process.argv.slice(2);
const options = { defaults: true, enums: String, longs: String, oneofs: true };
const definition = contract.endsWith(".binpb") ? fromDescriptors(contract) : fromProtos(contract);
const { TenantService } = grpc.loadPackageDefinition(definition).tenantmesh.tenant.v1;
const client = new TenantService(target, grpc.credentials.createInsecure());

function fromDescriptors(file) {
  return loader.loadFileDescriptorSetFromBuffer(fs.readFileSync(file), options);
}

// Loads every proto below the folder, not only those of the service that is called.
function fromProtos(folder) {
  const own = path.join(folder, "tenantmesh");
  const files = fs.readdirSync(own, { recursive: true }).filter((name) => name.endsWith(".proto"));
  const includeDirs = [folder, path.join(folder, "third_party")];
  return loader.loadSync(files.map((name) => path.join(own, name)), { ...options, keepCase: true, includeDirs });
}

function metadata() {
  const made = new grpc.Metadata();
  made.set("authorization", `Bearer ${process.env.OPERATOR_KEY}`);
  made.set("x-request-id", `node-${slug}`);
  return made;
}

// Resolves with the answer, or with what the error says.
function ask(method, request, sent) {
  return new Promise((resolve) => {
    const deadline = Date.now() + 20000;
    const call = client[method](request, sent, { deadline }, (error, answer) => {
      if (!error) return resolve(answer);
      const details = error.metadata.get("grpc-status-details-bin");
      resolve({ code: error.code, message: error.details, rich: details.length === 1 ? details[0].toString("latin1") : "" });
    });
    call.on("metadata", (headers) => (ask.requestId ||= headers.get("x-request-id")[0]));
  });
}

// Resolves with the first message of the stream that is about the tenant.
function watch() {
  return new Promise((resolve, reject) => {
    const stream = client.watchTenants({ snapshot: true }, metadata());
    const found = (message) => message.result && message.result.tenant && message.result.tenant.slug === slug;
    stream.on("data", (message) => {
      if (!found(message)) return;
      stream.cancel();
      resolve(message);
    });
    stream.on("error", (error) => error.code !== grpc.status.CANCELLED && reject(error));
  });
}

async function main() {
  ask.requestId = undefined;
  const created = await ask("createTenant", { slug, display_name: "Nœud" }, metadata());
  const requestId = ask.requestId;
  const found = await ask("getTenant", { id: slug }, metadata());
  const missing = await ask("getTenant", { id: "nobody-has-this" }, metadata());
  const anonymous = await ask("getTenant", { id: slug }, new grpc.Metadata());
  const watched = await watch();
  client.close();
  console.log(JSON.stringify({ created, requestId, found, missing, anonymous, watched }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
