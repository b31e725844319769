"""What `drive.py` has schemathesis check besides its own checks."""

import schemathesis

# Answers of the 5xx kind that are no fault of the bridge: it says what it does not offer, or that somebody else is
# not there. Each must be among the operation's own, as every answer must.
HONEST = {
    "no_approval_route",  # nobody's decision could count, and nobody was asked
    "not_supported",
    "peer_unreachable",
}


@schemathesis.check
def no_fault(ctx, response, case):
    """The bridge has no fault, and is never too busy for what is asked here."""
    if response.status_code < 500:
        return
    try:
        code = response.json().get("code")
    except ValueError:
        code = None
    if code not in HONEST:
        raise AssertionError(f"{response.status_code}: {response.content.decode(errors='replace')[:400]}")
