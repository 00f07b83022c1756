"""Supabase as one person sees it: what the command line acts as."""

from supabase import Client, ClientOptions, create_client
from supabase_auth.errors import AuthError

from constellation_dagster.resources.rest import SupabaseError
from constellation_dagster.settings import get_settings


def person_client() -> Client:
    """A client signed in as the person of this installation.

    Raises:
        SettingMissing: There is no Supabase, or nobody to be.
        SupabaseError: The e-mail address or the password is wrong.
    """
    settings = get_settings()
    email, password = settings.require_person()
    options = ClientOptions(auto_refresh_token=False, persist_session=False)
    client = create_client(*settings.require_supabase(), options)
    try:
        client.auth.sign_in_with_password({"email": email, "password": password})
    except AuthError as error:
        raise SupabaseError(
            f"Signing in as {email!r} failed: {error.message}. "
            "Check CONSTELLATION_EMAIL and CONSTELLATION_PASSWORD."
        ) from error
    return client
