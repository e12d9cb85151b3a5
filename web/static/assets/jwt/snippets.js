// The check of the page as code: Go with package verify, JavaScript with jose, Python with PyJWT.

/** `want` as in check.js; `own` says that the issuer is this broker, whose revocations package verify can follow. */
export function snippet(language, want, own) {
  return { go, js, python }[language](want, `${want.issuer.replace(/\/$/, "")}/jwks`, own);
}

const quoted = (text) => JSON.stringify(text);
const list = (names) => names.map(quoted).join(", ");

function go(want, jwks, own) {
  const types = want.types.includes("jwt") ? "\n\tAllowedTypes: []string{\"at+jwt\", \"JWT\"}," : "";
  let handler = "handler";
  if (want.roles.length) handler = `verify.RequireRoles(${list(want.roles)})(${handler})`;
  if (want.scopes.length) handler = `verify.RequireScope(${list(want.scopes)})(${handler})`;
  const [keys, from, more, run] = own
    ? [`issuer, err := verify.Discover(ctx, ${quoted(want.issuer)}, verify.DiscoverOptions{})`, "issuer.Keys", "\n\tRevocations: issuer.Revocations(),", "go issuer.Run(ctx)\n"]
    : [`keys, err := verify.Remote(${quoted(jwks)}, verify.RemoteOptions{})`, "keys", "", ""];
  return `${keys}
// …
v, err := verify.New(verify.Config{
	Issuer: ${quoted(want.issuer)},
	Audience: ${quoted(want.audience)},
	Keys: ${from},${more}${types}
})
// …
${run}http.Handle("/", v.Middleware(${handler}))`;
}

function js(want, jwks) {
  const types = want.types.includes("jwt") ? "" : "\n  typ: \"at+jwt\",";
  const lines = [`import { createRemoteJWKSet, jwtVerify } from "jose";

const keys = createRemoteJWKSet(new URL(${quoted(jwks)}));
const { payload } = await jwtVerify(token, keys, {
  issuer: ${quoted(want.issuer)},
  audience: ${quoted(want.audience)},
  algorithms: ["ES256", "RS256", "EdDSA"],${types}
  requiredClaims: ["exp", "sub"],
  clockTolerance: 30,
});`];
  if (want.scopes.length) lines.push(`const scopes = (payload.scope ?? "").split(" ");\nif (![${list(want.scopes)}].every((s) => scopes.includes(s))) throw new Error("403 insufficient_scope");`);
  if (want.roles.length) lines.push(`if (![${list(want.roles)}].some((r) => payload.roles?.includes(r))) throw new Error("403 insufficient_scope");`);
  return lines.join("\n");
}

function python(want, jwks) {
  const lines = [`import jwt

keys = jwt.PyJWKClient(${quoted(jwks)})
claims = jwt.decode(
    token,
    keys.get_signing_key_from_jwt(token).key,
    algorithms=["ES256", "RS256", "EdDSA"],
    issuer=${quoted(want.issuer)},
    audience=${quoted(want.audience)},
    leeway=30,
    options={"require": ["exp", "sub"]},
)`];
  if (!want.types.includes("jwt")) lines.push("if jwt.get_unverified_header(token).get(\"typ\", \"\").lower() != \"at+jwt\":\n    raise PermissionError(\"401 invalid_token: not an access token\")");
  if (want.scopes.length) lines.push(`if not {${list(want.scopes)}} <= set(claims.get("scope", "").split()):\n    raise PermissionError("403 insufficient_scope")`);
  if (want.roles.length) lines.push(`if not {${list(want.roles)}} & set(claims.get("roles", [])):\n    raise PermissionError("403 insufficient_scope")`);
  return lines.join("\n");
}
