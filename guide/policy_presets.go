package guide

import (
	"strings"

	"example.com/broker/abac"
	"example.com/broker/web/pages"
)

// people are in the entities of most presets.
const people = `  {"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": [{"type": "Role", "id": "editor"}]},
  {"uid": {"type": "User", "id": "bob"}, "attrs": {}, "parents": [{"type": "Role", "id": "viewer"}]},
  {"uid": {"type": "User", "id": "root"}, "attrs": {}, "parents": [{"type": "Role", "id": "admin"}]}`

// presets are what the playground opens with and what one can begin from. A test runs the tests of each.
func presets() []pages.PolicyPreset {
	return []pages.PolicyPreset{rbacPreset(), ownerPreset(), tenantPreset(), hoursPreset(), mfaPreset(), breakGlassPreset()}
}

func rbacPreset() pages.PolicyPreset {
	return pages.PolicyPreset{
		ID: "rbac", Name: "Roles (RBAC)",
		Text: "Each role permits some actions. Everything else is denied, because nothing permits it.",
		Policies: `@id("viewers-read")
@description("viewers read documents")
permit (
  principal in Role::"viewer",
  action == Action::"read",
  resource is Document
);

@id("editors-write")
@description("editors read and write documents")
permit (
  principal in Role::"editor",
  action in [Action::"read", Action::"write"],
  resource is Document
);

@id("admins-all")
@description("admins do everything")
permit (principal in Role::"admin", action, resource);
`,
		Schema: `entity Role;
entity User in [Role];
entity Document;

action "read", "write", "delete" appliesTo {
  principal: User,
  resource: Document,
};
`,
		Entities:  "[\n" + people + ",\n" + `  {"uid": {"type": "Document", "id": "handbook"}, "attrs": {}, "parents": []}` + "\n]\n",
		Principal: `User::"alice"`, Action: `Action::"write"`, Resource: `Document::"handbook"`, Context: "{}\n",
		Tests: cases(
			`{"name": "an editor writes", "principal": "User::alice", "action": "Action::write", "resource": "Document::handbook", "expect": "allow"}`,
			`{"name": "a viewer does not write", "principal": "User::bob", "action": "Action::write", "resource": "Document::handbook", "expect": "deny"}`,
			`{"name": "only an admin deletes", "principal": "User::alice", "action": "Action::delete", "resource": "Document::handbook", "expect": "deny"}`,
			`{"name": "an admin deletes", "principal": "User::root", "action": "Action::delete", "resource": "Document::handbook", "expect": "allow"}`),
	}
}

// ownerPreset holds the policies that the broker comes with.
func ownerPreset() pages.PolicyPreset {
	own := abac.Defaults()[abac.Broker]
	var texts []string
	for _, p := range own.Policies {
		texts = append(texts, p.Text)
	}
	return pages.PolicyPreset{
		ID: "owner", Name: "Owner only: the articles of the guide",
		Text:     "The author or an admin edits an article; an admin deletes any, the author only one that is not published. This is what the broker comes with.",
		Policies: strings.Join(texts, "\n"), Schema: own.Schema,
		Entities: "[\n" + people + `,
  {"uid": {"type": "Article", "id": "draft"}, "attrs": {"author": {"__entity": {"type": "User", "id": "alice"}}, "published": false}, "parents": []},
  {"uid": {"type": "Article", "id": "news"}, "attrs": {"author": {"__entity": {"type": "User", "id": "alice"}}, "published": true}, "parents": []}
]
`,
		Principal: `User::"alice"`, Action: `Action::"delete"`, Resource: `Article::"news"`, Context: "{}\n",
		Tests: cases(
			`{"name": "the author edits", "principal": "User::alice", "action": "Action::edit", "resource": "Article::news", "expect": "allow"}`,
			`{"name": "nobody else edits", "principal": "User::bob", "action": "Action::edit", "resource": "Article::news", "expect": "deny"}`,
			`{"name": "the author deletes a draft", "principal": "User::alice", "action": "Action::delete", "resource": "Article::draft", "expect": "allow"}`,
			`{"name": "but nothing published", "principal": "User::alice", "action": "Action::delete", "resource": "Article::news", "expect": "deny"}`,
			`{"name": "an admin deletes any", "principal": "User::root", "action": "Action::delete", "resource": "Article::news", "expect": "allow"}`),
	}
}

func tenantPreset() pages.PolicyPreset {
	return pages.PolicyPreset{
		ID: "tenants", Name: "Tenant isolation",
		Text: "A forbid keeps tenants apart. It wins over every permit, also over those that somebody adds later.",
		Policies: `@id("tenants-apart")
@description("nobody reaches into another tenant")
forbid (principal, action, resource)
unless { principal.tenant == resource.tenant };

@id("members-work")
@description("everybody reads and writes")
permit (
  principal is User,
  action in [Action::"read", Action::"write"],
  resource is Document
);
`,
		Schema: `entity Tenant;
entity User { tenant: Tenant };
entity Document { tenant: Tenant };

action "read", "write" appliesTo {
  principal: User,
  resource: Document,
};
`,
		Entities: `[
  {"uid": {"type": "User", "id": "ann"}, "attrs": {"tenant": {"__entity": {"type": "Tenant", "id": "acme"}}}, "parents": []},
  {"uid": {"type": "User", "id": "ben"}, "attrs": {"tenant": {"__entity": {"type": "Tenant", "id": "globex"}}}, "parents": []},
  {"uid": {"type": "Document", "id": "plan"}, "attrs": {"tenant": {"__entity": {"type": "Tenant", "id": "acme"}}}, "parents": []}
]
`,
		Principal: `User::"ben"`, Action: `Action::"read"`, Resource: `Document::"plan"`, Context: "{}\n",
		Tests: cases(
			`{"name": "within the tenant", "principal": "User::ann", "action": "Action::read", "resource": "Document::plan", "expect": "allow"}`,
			`{"name": "not across", "principal": "User::ben", "action": "Action::read", "resource": "Document::plan", "expect": "deny"}`,
			`{"name": "nor without a tenant", "principal": "User::cleo", "action": "Action::read", "resource": "Document::plan", "expect": "deny"}`),
	}
}

func hoursPreset() pages.PolicyPreset {
	return pages.PolicyPreset{
		ID: "hours", Name: "Office hours",
		Text: "The situation decides too. No policy reads a clock: whoever asks says what time it is.",
		Policies: `@id("office-hours")
@description("payments are made from 8 to 18 on working days")
permit (
  principal in Role::"editor",
  action == Action::"pay",
  resource is Invoice
)
when {
  context.hour >= 8 && context.hour < 18 &&
  ["Mon", "Tue", "Wed", "Thu", "Fri"].contains(context.day)
};

@id("see-always")
@description("invoices are seen at any time")
permit (principal, action == Action::"view", resource is Invoice);
`,
		Schema: `entity Role;
entity User in [Role];
entity Invoice;

action "view", "pay" appliesTo {
  principal: User,
  resource: Invoice,
  context: { hour: Long, day: String },
};
`,
		Entities:  "[\n" + people + ",\n" + `  {"uid": {"type": "Invoice", "id": "4711"}, "attrs": {}, "parents": []}` + "\n]\n",
		Principal: `User::"alice"`, Action: `Action::"pay"`, Resource: `Invoice::"4711"`, Context: "{\"hour\": 21, \"day\": \"Tue\"}\n",
		Tests: cases(
			`{"name": "at noon", "principal": "User::alice", "action": "Action::pay", "resource": "Invoice::4711", "context": {"hour": 12, "day": "Tue"}, "expect": "allow"}`,
			`{"name": "at night", "principal": "User::alice", "action": "Action::pay", "resource": "Invoice::4711", "context": {"hour": 21, "day": "Tue"}, "expect": "deny"}`,
			`{"name": "on Sunday", "principal": "User::alice", "action": "Action::pay", "resource": "Invoice::4711", "context": {"hour": 12, "day": "Sun"}, "expect": "deny"}`,
			`{"name": "at an hour nobody knows", "principal": "User::alice", "action": "Action::pay", "resource": "Invoice::4711", "expect": "deny"}`),
	}
}

func mfaPreset() pages.PolicyPreset {
	return pages.PolicyPreset{
		ID: "mfa", Name: "Second factor required",
		Text: "A forbid asks how somebody signed in. Take mfa out of the context: the forbid cannot be evaluated, and the answer is no.",
		Policies: `@id("editors-transfer")
@description("editors transfer money")
permit (
  principal in Role::"editor",
  action == Action::"transfer",
  resource is Account
);

@id("second-factor")
@description("money moves only after a second factor")
forbid (principal, action == Action::"transfer", resource)
unless { context.mfa };

@id("all-see")
@description("everybody sees accounts")
permit (principal, action == Action::"view", resource is Account);
`,
		Schema: `entity Role;
entity User in [Role];
entity Account;

action "view", "transfer" appliesTo {
  principal: User,
  resource: Account,
  context: { mfa: Bool },
};
`,
		Entities:  "[\n" + people + ",\n" + `  {"uid": {"type": "Account", "id": "main"}, "attrs": {}, "parents": []}` + "\n]\n",
		Principal: `User::"alice"`, Action: `Action::"transfer"`, Resource: `Account::"main"`, Context: "{\"mfa\": false}\n",
		Tests: cases(
			`{"name": "with a second factor", "principal": "User::alice", "action": "Action::transfer", "resource": "Account::main", "context": {"mfa": true}, "expect": "allow"}`,
			`{"name": "without", "principal": "User::alice", "action": "Action::transfer", "resource": "Account::main", "context": {"mfa": false}, "expect": "deny"}`,
			`{"name": "where nobody knows", "principal": "User::alice", "action": "Action::transfer", "resource": "Account::main", "expect": "deny"}`),
	}
}

func breakGlassPreset() pages.PolicyPreset {
	return pages.PolicyPreset{
		ID: "break-glass", Name: "Break glass: deny in an emergency",
		Text: "One forbid stops everybody while an incident is on, admins too, but for those who handle it.",
		Policies: `@id("editors-deploy")
@description("editors and admins deploy")
permit (
  principal,
  action == Action::"deploy",
  resource is Service
)
when { principal in Role::"editor" || principal in Role::"admin" };

@id("break-glass")
@description("while an incident is on, only those who handle it act")
forbid (principal, action, resource)
when { context.incident }
unless { principal in Role::"incident-lead" };

@id("lead-acts")
@description("who handles an incident may do everything")
permit (principal in Role::"incident-lead", action, resource);
`,
		Schema: `entity Role;
entity User in [Role];
entity Service;

action "deploy", "stop" appliesTo {
  principal: User,
  resource: Service,
  context: { incident: Bool },
};
`,
		Entities: "[\n" + people + `,
  {"uid": {"type": "User", "id": "ines"}, "attrs": {}, "parents": [{"type": "Role", "id": "incident-lead"}]},
  {"uid": {"type": "Service", "id": "shop"}, "attrs": {}, "parents": []}
]
`,
		Principal: `User::"root"`, Action: `Action::"deploy"`, Resource: `Service::"shop"`, Context: "{\"incident\": true}\n",
		Tests: cases(
			`{"name": "on a quiet day", "principal": "User::root", "action": "Action::deploy", "resource": "Service::shop", "context": {"incident": false}, "expect": "allow"}`,
			`{"name": "in an incident not even an admin", "principal": "User::root", "action": "Action::deploy", "resource": "Service::shop", "context": {"incident": true}, "expect": "deny"}`,
			`{"name": "who handles it does", "principal": "User::ines", "action": "Action::stop", "resource": "Service::shop", "context": {"incident": true}, "expect": "allow"}`),
	}
}

// cases are tests as the playground shows them.
func cases(list ...string) string { return "[\n  " + strings.Join(list, ",\n  ") + "\n]\n" }
