"""Supabase as one person sees it: what the command line acts as."""

import httpx
from supabase import Client, ClientOptions, SupabaseException, create_client
from supabase_auth.errors import AuthApiError, AuthError

from constellation_dagster.resources.rest import SupabaseError
from constellation_dagster.settings import get_settings


def person_client() -> Client:
    """A client signed in as the person of this installation.

    Raises:
        SettingMissing: There is no Supabase, or nobody to be.
        SupabaseError: Supabase does not answer, or does not know this person.
    """
    settings = get_settings()
    email, password = settings.require_person()
    url, key = settings.require_supabase()
    options = ClientOptions(auto_refresh_token=False, persist_session=False)
    try:
        client = create_client(url, key, options)
        client.auth.sign_in_with_password({"email": email, "password": password})
    except AuthApiError as error:
        if error.code == "invalid_credentials":
            raise SupabaseError(
                f"Supabase at {url} does not know {email!r} with this password. "
                "Check CONSTELLATION_EMAIL and CONSTELLATION_PASSWORD."
            ) from error
        raise SupabaseError(f"Supabase at {url} refuses: {error.message}.") from error
    except (AuthError, SupabaseException, httpx.HTTPError) as error:
        raise SupabaseError(
            f"Supabase at {url!r} cannot be reached: {error}. "
            "Check SUPABASE_URL and SUPABASE_KEY, or see `constellation status`."
        ) from error
    return client
