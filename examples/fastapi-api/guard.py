"""The guard before an API that trusts the broker's access tokens: who calls, with which roles and scopes.

Copy this file into your own API. It needs FastAPI and PyJWT with its extra "crypto".
"""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import jwt
from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError, PyJWKSetError

# What a signature may be made with; never "none", and never HS256, for which the published key would be the secret.
ALGORITHMS = ("ES256", "RS256", "EdDSA")
REQUIRED = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]  # RFC 9068 section 2.2
LEEWAY = 30  # seconds by which the clocks may differ

bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="an access token of the broker for this API")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


@dataclass(frozen=True)
class Caller:
    """Who calls: a person for whom the client acts, or the client itself."""

    kind: str  # "user" or "client"
    id: str
    client_id: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]


class Refused(Exception):
    """A request that does not get in. `answer` turns it into a response."""

    def __init__(self, status: int, code: str, detail: str, **more: object) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.more = status, code, detail, more
        self.realm = ""


class Guard:
    """Accepts the access tokens of one issuer for one audience. Its methods are FastAPI dependencies."""

    def __init__(self, issuer: str, audience: str, jwks_url: str | None = None) -> None:
        self.issuer, self.audience = issuer, audience
        url = jwks_url or issuer.rstrip("/") + "/jwks"
        where = urlsplit(url)
        # Whoever can change the answer can sign tokens.
        if where.scheme != "https" and where.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(f"{url} is not https")
        # Fetched when first needed, again after five minutes, and for an unknown key at most every ten seconds.
        self._keys = jwt.PyJWKClient(url, lifespan=300, timeout=5, cooldown_duration=10)

    def caller(self, credentials: Credentials) -> Caller:
        """Dependency: anyone with a good token; 401 otherwise."""
        try:
            if credentials is None:
                raise Refused(401, "missing_token", "the request has no bearer token")
            return self.verify(credentials.credentials)
        except Refused as refused:
            refused.realm = self.audience
            raise

    def roles(self, *any_of: str):
        """Dependency: a caller with any of the roles; 403 otherwise, which names them."""

        def check(caller: Annotated[Caller, Depends(self.caller)]) -> Caller:
            if set(any_of).isdisjoint(caller.roles):
                self._forbid(f"one of the roles {', '.join(any_of)} is expected", required_roles=any_of)
            return caller

        return check

    def scopes(self, *all_of: str):
        """Dependency: a caller whose token has all of the scopes; 403 otherwise, which names them."""

        def check(caller: Annotated[Caller, Depends(self.caller)]) -> Caller:
            if not set(all_of).issubset(caller.scopes):
                self._forbid(f"all of the scopes {', '.join(all_of)} are expected", required_scope=" ".join(all_of))
            return caller

        return check

    def verify(self, token: str) -> Caller:
        """Returns whom a token speaks of, or raises Refused: 401 if it is not good, 503 if nobody can tell at the moment."""
        try:
            header = jwt.get_unverified_header(token)
            # An ID token is signed by the same issuer: the type tells the two apart (RFC 9068 section 4).
            if str(header.get("typ", "")).lower().removeprefix("application/") != "at+jwt":
                raise Refused(401, "invalid_token", "the token is no access token, the type at+jwt is expected")
            if header.get("alg") not in ALGORITHMS:
                raise Refused(401, "invalid_token", f"the algorithm is not one of {', '.join(ALGORITHMS)}")
            key = self._key(header.get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],  # the key decides, not the token (RFC 8725 section 2.1)
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY,
                options={"require": REQUIRED},
            )
        except jwt.InvalidAudienceError:
            raise Refused(401, "invalid_token", f"the token is for another API, the audience {self.audience} is expected") from None
        except jwt.InvalidIssuerError:
            raise Refused(401, "invalid_token", f"the token is of another issuer, {self.issuer} is expected") from None
        except jwt.ExpiredSignatureError:
            raise Refused(401, "invalid_token", "the token has expired") from None
        except jwt.PyJWTError as error:
            raise Refused(401, "invalid_token", f"the token is not valid: {error}") from None
        return Caller(
            kind="client" if claims["sub"] == claims["client_id"] else "user",
            id=claims["sub"],
            client_id=claims["client_id"],
            roles=tuple(claims.get("roles", ())),
            scopes=tuple(claims.get("scope", "").split()),
        )

    def _key(self, kid: object) -> jwt.PyJWK:
        try:
            return self._keys.get_signing_key(str(kid))
        except (PyJWKClientConnectionError, PyJWKSetError, ValueError):
            # Never 401: a client that is told its token is bad throws it away.
            raise Refused(503, "temporarily_unavailable", "the keys of the issuer cannot be had at the moment") from None
        except PyJWKClientError:
            raise Refused(401, "invalid_token", "the issuer has no such key") from None

    def _forbid(self, detail: str, **more: object) -> None:
        refused = Refused(403, "insufficient_scope", detail, **more)
        refused.realm = self.audience
        raise refused


def answer(_: Request, refused: Refused) -> JSONResponse:
    """Exception handler: status, challenge (RFC 6750 section 3) and problem body (RFC 9457)."""
    headers = {"Cache-Control": "no-store"}
    if refused.status == 503:
        headers["Retry-After"] = "5"
    else:
        challenge = f'Bearer realm="{_quotable(refused.realm)}"'
        if refused.code != "missing_token":
            challenge += f', error="{refused.code}", error_description="{_quotable(refused.detail)}"'
        if scope := refused.more.get("required_scope"):
            challenge += f', scope="{scope}"'
        headers["WWW-Authenticate"] = challenge
    body = {"type": "about:blank", "status": refused.status, "code": refused.code, "detail": refused.detail, **refused.more}
    return JSONResponse(body, refused.status, headers, media_type="application/problem+json")


def _quotable(text: str) -> str:
    """Keeps to the characters that a quoted description may hold (RFC 6749 section 5.2)."""
    return "".join("'" if c == '"' else c if " " <= c <= "~" and c != "\\" else "?" for c in text)
