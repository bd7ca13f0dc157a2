"""The codes of errors: short words that stay the same, for programs; `detail` is for people.

The library's errors bring their own (`recsys.core.errors`); the others stand where they are raised.
"""

CODES = {
    "invalid_request": "a field or parameter is missing, unknown, or out of its range",
    "invalid_filter": "a filter asks what its column cannot be asked",
    "unknown_attribute": "the items, or the users of the model, have no such column",
    "unknown_value": "no user had this value of an attribute",
    "unknown_behavior": "the log has no such behaviour",
    "nothing_known": "nothing is known of the visitor who is asked about",
    "too_expensive": "the request would cost more than any request may",
    "malformed": "this is no HTTP/1.1 request",
    "headers_too_large": "the headers are over their limit",
    "unknown_key": "the request has no key, or one that is not known",
    "expired_key": "the key is past its last day",
    "missing_scope": "the key may not do this",
    "foreign_origin": "a page from elsewhere asks a service without keys",
    "foreign_host": "a service without keys is asked by a name that is not loopback",
    "unknown_path": "there is no such path",
    "unknown_user": "the bundle does not know the user",
    "unknown_item": "the bundle does not know the item",
    "unknown_bundle": "the run has no such bundle",
    "unknown_experiment": "the run has no experiment",
    "unknown_job": "there is no such job, or no more",
    "not_offered": "this service was started without what is asked for: a run, events, a report, the page",
    "wrong_method": "the path does not take this method",
    "body_too_slow": "the body did not come in time",
    "bundle_refused": "the bundle is damaged, or answers otherwise than when it was written",
    "gate_refused": "the bundle's own report calls it worse; promote takes it by force",
    "body_too_large": "the body is over its limit",
    "not_json": "the body is not sent as application/json",
    "rate_limited": "the key, or those without one, have spent what they may; try again after Retry-After",
    "client_left": "the client was gone before its answer",
    "no_answer_in_time": "no answer within the time of a request",
    "busy": "too much waits already; try again after Retry-After",
    "events_not_written": "the disk took none of the events; send them again",
    "impressions_not_written": "the disk took none of the impressions; send them again",
    "logs_too_large": "the logs of an experiment are for the command line to read",
    "stopping": "the service was told to stop",
    "unavailable": "the machine refuses; the log says why",
    "internal_error": "a bug in the service; the log has the traceback",
}

_TYPE = "urn:problem-type:recsys:"


def type_of(code: str) -> str:
    """The `type` of a problem (RFC 9457): a name that depends on no host and no path."""
    return _TYPE + code
