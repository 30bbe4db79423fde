// A program on the types that openapi-typescript makes, with openapi-fetch.
import createClient from "openapi-fetch";

import { bearer, edge, email, find, meter, must, operator, password, slug } from "./program";
import type { components, paths } from "./schema";

type Message = components["schemas"]["tenantmesh.tenant.v1.WatchTenantsResponse"];

const client = createClient<paths>({ baseUrl: edge });
const headers = operator;

async function signedIn() {
  const body = { email, password };
  await client.POST("/api/v1/auth/register", { body, params: { header: { "x-tenant-slug": slug } } });
  const tokens = await client.POST("/api/v1/auth/login", { body, params: { query: { tenant: slug } } });
  const me = await client.GET("/api/v1/auth/me", { headers: bearer(must(tokens.data, tokens.error).accessToken!) });
  return must(me.data, me.error).email;
}

async function page(pageToken?: string) {
  const answer = await client.GET("/api/v1/tenants", { headers, params: { query: { pageSize: 1, pageToken } } });
  return must(answer.data, answer.error);
}

async function pages() {
  const first = await page();
  const second = await page(first.nextPageToken);
  const found = new Set([...first.tenants!, ...second.tenants!].map((tenant) => tenant.id));
  return [first.tenants!.length, second.tenants!.length, found.size];
}

async function limits() {
  const plan = await client.GET("/api/v1/plans/{id}", { headers, params: { path: { id: "basic" } } });
  const path = { id: slug };
  const entitled = await client.GET("/api/v1/tenants/{id}/entitlements", { headers, params: { path } });
  const values = [...must(plan.data).features!, ...must(entitled.data).entitlements!];
  return values.filter((each) => each.feature === meter).map((each) => each.value?.limit);
}

async function migration() {
  const body = { planId: "premium", validateOnly: true };
  const path = { id: slug };
  const operation = await client.POST("/api/v1/tenants/{id}/migrate", { headers, body, params: { path } });
  return [must(operation.data, operation.error).done, operation.data!.metadata!["@type"]];
}

async function missing() {
  const path = { id: "nobody-has-this" };
  const refused = await client.GET("/api/v1/tenants/{id}", { headers, params: { path } });
  const reasons = must(refused.error).details!.flatMap((detail) => detail.reason ?? []);
  return [refused.response.status, ...reasons];
}

async function violations() {
  const refused = await client.POST("/api/v1/tenants/create", { headers, body: { slug: "NOT A SLUG" } });
  const listed = must(refused.error).details!.flatMap((detail) => detail.fieldViolations ?? []);
  return listed.map((violation) => violation.field);
}

async function watched() {
  const answer = await client.GET("/api/v1/tenants:watch", {
    headers: { ...headers, accept: "application/x-ndjson" },
    params: { query: { snapshot: true } },
    parseAs: "stream",
  });
  const found = await find<Message>(answer.response.body!, (message) => message.result?.tenant?.slug === slug);
  return found.result?.tenant?.slug;
}

async function main() {
  const created = must((await client.POST("/api/v1/tenants/create", { headers, body: { slug } })).data);
  const found = must((await client.GET("/api/v1/tenants/{id}", { headers, params: { path: { id: slug } } })).data);
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
