"""What differs between two packages, for a message."""

from constellation_dagster.domain.packages import PackageManifest

# What is said of the files says it better.
_OF_FILES = ("files", "requirements")


def differences(old: PackageManifest, new: PackageManifest) -> tuple[str, ...]:
    """Each difference as a phrase; none when the packages are the same."""
    before = {file.path: file for file in old.files}
    after = {file.path: file for file in new.files}
    found: list[str] = []
    for path in sorted({*before, *after}):
        if path not in after:
            found.append(f"{path} is not in it any more")
        elif path not in before:
            found.append(f"{path} is new")
        elif before[path] != after[path]:
            found.append(
                f"{path} differs ({before[path].size} bytes, sha256 {before[path].sha256[:12]}…; "
                f"now {after[path].size} bytes, sha256 {after[path].sha256[:12]}…)"
            )
    gone = sorted(set(old.requirements) - set(new.requirements))
    added = sorted(set(new.requirements) - set(old.requirements))
    if gone or added:
        found.append(f"requirements: {', '.join(gone) or 'none'} before, {', '.join(added)} now")
    one, other = old.model_dump(), new.model_dump()
    found += [
        f"{name} differs" for name in one if name not in _OF_FILES and one[name] != other[name]
    ]
    return tuple(found)
