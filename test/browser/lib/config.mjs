// Pieces of broker.yaml, as a developer would write them.

/** A generic OpenID provider on loopback, which has to be allowed. */
export function provider(id, upstream) {
  return `providers:
  ${id}:
    kind: oidc
    name: Acme
    issuer: ${upstream.issuer}
    client_id: ${upstream.clientID}
    client_secret: ${upstream.clientSecret}
    allow_private: true
`;
}

/** A public client of one's own, and the API that it may call. */
export function appWithAPI({ client, redirectURI, postLogoutURI, api, audience }) {
  return `clients:
  ${client}:
    name: My own app
    first_party: true
    redirect_uris: ["${redirectURI}"]
    post_logout_redirect_uris: ["${postLogoutURI}"]
    grant_types: [authorization_code, refresh_token]
    apis: [${api}]
apis:
  ${api}:
    audience: ${audience}
`;
}
