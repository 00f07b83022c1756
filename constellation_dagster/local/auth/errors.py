"""Errors in the shape that Supabase's clients read."""

from starlette.responses import JSONResponse


class AuthError(Exception):
    """A request is refused."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(message)

    def response(self) -> JSONResponse:
        """As hosted Supabase answers."""
        body: dict[str, object] = {
            "code": self.status,
            "error_code": self.code,
            "msg": self.message,
        }
        if self.code == "weak_password":
            body["weak_password"] = {"reasons": ["length"]}
        return JSONResponse(body, self.status)


def invalid_credentials() -> AuthError:
    """The same for an unknown address and a wrong password."""
    return AuthError(400, "invalid_credentials", "Invalid login credentials")


def validation_failed(message: str) -> AuthError:
    """The request itself is wrong."""
    return AuthError(400, "validation_failed", message)
