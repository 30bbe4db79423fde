// A program on the client that @hey-api/openapi-ts makes.
import { client } from "./hey-client/client.gen";
import * as mesh from "./hey-client/sdk.gen";
import type { TenantmeshTenantV1WatchTenantsResponse as Message } from "./hey-client/types.gen";
import { bearer, edge, email, find, meter, must, operator, password, slug } from "./program";

client.setConfig({ baseUrl: edge });
const headers = operator;

async function signedIn() {
  const body = { email, password };
  await mesh.authServiceRegister({ body, headers: { "x-tenant-slug": slug } });
  const tokens = await mesh.authServiceLogin({ body, query: { tenant: slug } });
  const me = await mesh.authServiceGetMe({ headers: bearer(must(tokens.data, tokens.error).accessToken!) });
  return must(me.data, me.error).email;
}

async function page(pageToken?: string) {
  const answer = await mesh.tenantServiceListTenants({ headers, query: { pageSize: 1, pageToken } });
  return must(answer.data, answer.error);
}

async function pages() {
  const first = await page();
  const second = await page(first.nextPageToken);
  const found = new Set([...first.tenants!, ...second.tenants!].map((tenant) => tenant.id));
  return [first.tenants!.length, second.tenants!.length, found.size];
}

async function limits() {
  const plan = await mesh.planServiceGetPlan({ headers, path: { id: "basic" } });
  const entitled = await mesh.entitlementServiceGetEntitlements({ headers, path: { id: slug } });
  const values = [...must(plan.data).features!, ...must(entitled.data).entitlements!];
  return values.filter((each) => each.feature === meter).map((each) => each.value?.limit);
}

async function migration() {
  const body = { planId: "premium", validateOnly: true };
  const operation = await mesh.tenantServiceMigrateTenantPlan({ headers, body, path: { id: slug } });
  return [must(operation.data, operation.error).done, operation.data!.metadata!["@type"]];
}

async function missing() {
  const refused = await mesh.tenantServiceGetTenant({ headers, path: { id: "nobody-has-this" } });
  const reasons = must(refused.error).details!.flatMap((detail) => detail.reason ?? []);
  return [refused.response!.status, ...reasons];
}

async function violations() {
  const refused = await mesh.tenantServiceCreateTenant({ headers, body: { slug: "NOT A SLUG" } });
  const listed = must(refused.error).details!.flatMap((detail) => detail.fieldViolations ?? []);
  return listed.map((violation) => violation.field);
}

async function watched() {
  const answer = await mesh.tenantServiceWatchTenants({
    headers: { ...headers, accept: "application/x-ndjson" },
    parseAs: "stream",
    query: { snapshot: true },
  });
  const stream = answer.data as unknown as ReadableStream<Uint8Array>;
  const found = await find<Message>(stream, (message) => message.result?.tenant?.slug === slug);
  return found.result?.tenant?.slug;
}

async function main() {
  const created = must((await mesh.tenantServiceCreateTenant({ headers, body: { slug } })).data);
  const found = must((await mesh.tenantServiceGetTenant({ headers, path: { id: slug } })).data);
  const said = {
    created: created.slug,
    found: found.id === created.id,
    email: await signedIn(),
    pages: await pages(),
    limits: await limits(),
    operation: await migration(),
    missing: await missing(),
    violations: await violations(),
    watched: await watched(),
  };
  console.log(JSON.stringify(said));
  process.exit(0);
}

void main();
