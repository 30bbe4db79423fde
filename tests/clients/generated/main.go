// A program on the client that openapi-generator makes for Go. Run by test_generated.py, which reads its JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"

	mesh "client/tenantmesh"
)

const (
	email = "ada@people.example"
	meter = "api_requests"
)

var (
	edge     = os.Getenv("EDGE_URL")
	slug     = os.Getenv("SLUG")
	password = os.Getenv("PASSWORD")
	client   = mesh.NewAPIClient(configuration())
	nobody   = context.Background()
	operator = bearer(os.Getenv("OPERATOR_KEY"))
)

func configuration() *mesh.Configuration {
	made := mesh.NewConfiguration()
	made.Servers = mesh.ServerConfigurations{{URL: edge}}
	return made
}

func bearer(credential string) context.Context {
	return context.WithValue(nobody, mesh.ContextAccessToken, credential)
}

// must returns an answer, or ends the program.
func must[Answer any](answer Answer, _ *http.Response, err error) Answer {
	if err != nil {
		log.Fatal(err)
	}
	return answer
}

func main() {
	request := *mesh.NewTenantServiceCreateTenantRequest(slug)
	created := must(client.TenantServiceAPI.TenantServiceCreateTenant(operator).TenantServiceCreateTenantRequest(request).Execute())
	found := must(client.TenantServiceAPI.TenantServiceGetTenant(operator, slug).Execute())
	_, missing, err := client.TenantServiceAPI.TenantServiceGetTenant(operator, "nobody-has-this").Execute()
	said := map[string]any{
		"created":    created.GetSlug(),
		"found":      found.GetId() == created.GetId(),
		"email":      signedIn(),
		"pages":      pages(),
		"limits":     limits(),
		"operation":  migration(),
		"missing":    append([]any{missing.StatusCode}, reasons(err)...),
		"violations": violations(),
		"watched":    watched(),
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		log.Fatal(err)
	}
}

// signedIn returns the address of a user who registers, signs in and asks who they are.
func signedIn() string {
	account := *mesh.NewAuthServiceRegisterRequest(email, password)
	must(client.AuthServiceAPI.AuthServiceRegister(nobody).AuthServiceRegisterRequest(account).XTenantSlug(slug).Execute())
	credentials := *mesh.NewAuthServiceLoginRequest(email, password)
	tokens := must(client.AuthServiceAPI.AuthServiceLogin(nobody).AuthServiceLoginRequest(credentials).Tenant(slug).Execute())
	return must(client.AuthServiceAPI.AuthServiceGetMe(bearer(tokens.GetAccessToken())).Execute()).GetEmail()
}

// pages returns how many tenants two pages of one have, and how many differ.
func pages() []int {
	first := must(client.TenantServiceAPI.TenantServiceListTenants(operator).PageSize(1).Execute())
	second := must(client.TenantServiceAPI.TenantServiceListTenants(operator).PageSize(1).PageToken(first.GetNextPageToken()).Execute())
	ids := map[string]bool{}
	for _, tenant := range append(first.GetTenants(), second.GetTenants()...) {
		ids[tenant.GetId()] = true
	}
	return []int{len(first.GetTenants()), len(second.GetTenants()), len(ids)}
}

// limits returns the limit of a meter in the plan, and in the tenant's entitlements.
func limits() []string {
	found := []string{}
	for _, feature := range must(client.PlanServiceAPI.PlanServiceGetPlan(operator, "basic").Execute()).GetFeatures() {
		if value := feature.GetValue(); feature.GetFeature() == meter {
			found = append(found, value.GetLimit())
		}
	}
	entitled := must(client.EntitlementServiceAPI.EntitlementServiceGetEntitlements(operator, slug).Execute())
	for _, entitlement := range entitled.GetEntitlements() {
		if value := entitlement.GetValue(); entitlement.GetFeature() == meter {
			found = append(found, value.GetLimit())
		}
	}
	return found
}

// migration returns how a plan change ended that was only checked, and the type of its metadata.
func migration() []any {
	request := *mesh.NewTenantServiceMigrateTenantPlanRequest("premium")
	request.SetValidateOnly(true)
	call := client.TenantServiceAPI.TenantServiceMigrateTenantPlan(operator, slug)
	operation := must(call.TenantServiceMigrateTenantPlanRequest(request).Execute())
	metadata := operation.GetMetadata()
	return []any{operation.GetDone(), metadata.GetType()}
}

// details returns the details of a refusal.
func details(err error) []mesh.GoogleRpcErrorDetail {
	var refused *mesh.GenericOpenAPIError
	if !errors.As(err, &refused) {
		log.Fatal(err)
	}
	status, _ := refused.Model().(mesh.GoogleRpcStatus)
	return status.GetDetails()
}

func reasons(err error) []any {
	found := []any{}
	for _, detail := range details(err) {
		if detail.HasReason() {
			found = append(found, detail.GetReason())
		}
	}
	return found
}

// violations returns the fields that break a rule.
func violations() []string {
	request := *mesh.NewTenantServiceCreateTenantRequest("NOT A SLUG")
	_, _, err := client.TenantServiceAPI.TenantServiceCreateTenant(operator).TenantServiceCreateTenantRequest(request).Execute()
	found := []string{}
	for _, detail := range details(err) {
		for _, violation := range detail.GetFieldViolations() {
			found = append(found, violation.GetField())
		}
	}
	return found
}

// watched returns the slug in the first change of the tenant. The stream has no end, so it is read line by line: a call
// of the generated client would wait for its end.
func watched() string {
	request, err := http.NewRequest(http.MethodGet, edge+"/api/v1/tenants:watch?snapshot=true", nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("accept", "application/x-ndjson")
	request.Header.Set("authorization", "Bearer "+os.Getenv("OPERATOR_KEY"))
	answer, err := client.GetConfig().HTTPClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		message := mesh.TenantmeshTenantV1WatchTenantsResponse{}
		if err := json.Unmarshal(lines.Bytes(), &message); err != nil {
			log.Fatal(err)
		}
		result := message.GetResult()
		if tenant := result.GetTenant(); tenant.GetSlug() == slug {
			return tenant.GetSlug()
		}
	}
	return ""
}
