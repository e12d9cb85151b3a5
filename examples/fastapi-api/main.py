"""An API on FastAPI that trusts the broker's access tokens. README.md beside it says how to run it."""

import os
import sys
from dataclasses import asdict
from typing import Annotated

from fastapi import Depends, FastAPI

from guard import Caller, Guard, Refused, answer

try:
    guard = Guard(os.environ["ISSUER"], os.environ["AUDIENCE"], os.environ.get("JWKS_URL"))
except KeyError as name:
    sys.exit(f"fastapi-api: {name} is not set, ISSUER and AUDIENCE are needed")
except ValueError as error:
    sys.exit(f"fastapi-api: {error}")

Anyone = Annotated[Caller, Depends(guard.caller)]
Editor = Annotated[Caller, Depends(guard.roles("editor", "admin"))]
Writer = Annotated[Caller, Depends(guard.scopes("invoices:write"))]

app = FastAPI(title="Invoices")
app.add_exception_handler(Refused, answer)


@app.get("/invoices")
def list_invoices(caller: Anyone) -> dict:
    return {"caller": asdict(caller), "invoices": [{"id": 1, "total": "12.50"}]}


@app.post("/invoices", status_code=201)
def write_invoice(caller: Editor) -> dict:
    return {"caller": asdict(caller), "invoices": [{"id": 2, "total": "3.20"}]}


@app.delete("/invoices/{number}")
def cancel_invoice(number: int, caller: Writer) -> dict:
    return {"caller": asdict(caller), "cancelled": number}
