"""The methods on access rules (contract §2, docs/access.md).

They need `access:admin`, or the verb `admin` on the pattern in question: its holder grants and revokes below that
pattern, but gives nothing away that it does not have, and takes back nothing that holds it down itself.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.timezone import now
from uuid_utils import uuid7

from audit_app.database import in_database
from audit_app.errors import InvalidParams
from audit_app.writer import writer
from erlmcp_site.methods.paging import cursor_of, page
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.messages import Effect as Told
from erlmcp_site.pipeline.messages import done
from erlmcp_site.pipeline.passage import Passage
from resources_app.serializers import PageParams
from sessions_app.access.decisions import explain, may
from sessions_app.access.index import Index
from sessions_app.access.queries import described, find_rule, find_user, list_rules, principal_of
from sessions_app.access.rulebook import rulebook
from sessions_app.access.rules import Effect, Rule, Verb, user_principal
from sessions_app.access.serializers import ExplainParams, GrantParams, RuleParams
from sessions_app.access.store import GrantAccess, RevokeAccess, RuleNotFound
from sessions_app.authentication import rights_of
from sessions_app.callers import Caller
from sessions_app.errors import Forbidden

ADMIN = Verb.ADMIN.permission
PORTION = 1000


async def list_(passage: Passage) -> Any:
    """The rules that hold; for those who administer a part, the rules within it."""
    caller, index = passage.known_caller, await rulebook.read()
    limit, after = passage.params["limit"], cursor_of(passage.params)
    shown: list[Rule] = []
    while len(shown) <= limit:
        found = await in_database(list_rules, after, PORTION)
        shown += [rule for rule in found if _administers(index, caller, rule)]
        if len(found) < PORTION:
            break
        after = found[-1].id
    told = await in_database(described, shown[:limit])
    return page("rules", told + shown[limit:], limit, lambda place: shown[place].id)


async def grant(passage: Passage) -> Any:
    params, caller = passage.params, passage.known_caller
    at = now()
    expires_at = params.get("expires_at")
    if expires_at is not None and expires_at <= at:
        raise InvalidParams(errors={"expires_at": ["This moment has passed."]})
    rule = Rule(
        id=str(uuid7()),
        principal=await in_database(principal_of, params),
        pattern=params["pattern"],
        verbs=frozenset(map(Verb, params["verbs"])),
        effect=Effect(params["effect"]),
        created_by=caller.name,
        created_at=at,
        expires_at=expires_at,
    )
    _must_have(await rulebook.read(), caller, rule)
    told = (await in_database(described, [rule]))[0]
    await writer.submit(GrantAccess(rule=rule, entry=passage.entry(lambda _: _granted(told))))
    return passage.take(_granted(told))


async def revoke(passage: Passage) -> Any:
    id, caller, index = passage.params["rule"], passage.known_caller, await rulebook.read()
    rule = await in_database(find_rule, id)
    if rule is None or not _administers(index, caller, rule):
        raise RuleNotFound()
    if rule.effect is Effect.DENY and rule.principal in caller.principals and not caller.may(ADMIN):
        raise Forbidden("This rule denies you something: others have to revoke it.")
    return passage.take(done(await writer.submit(RevokeAccess(id=id, entry=passage.entry(done)))))


async def explain_(passage: Passage) -> Any:
    """What a user may do to a URI, or to all that a pattern covers, verb by verb, and what says so."""
    index, params = await rulebook.read(), passage.params
    rights = await in_database(lambda: rights_of(find_user(params["user"])))
    verdicts = {verb: explain(index, rights, verb, params["uri"]) for verb in Verb}
    rules = {verdict.rule.id: verdict.rule for verdict in verdicts.values() if verdict.rule is not None}
    told = dict(zip(rules, await in_database(described, list(rules.values())), strict=True))
    return {
        "user": params["user"],
        "uri": str(params["uri"]),
        "verbs": {
            verb.value: {
                "allowed": verdict.allowed,
                "why": verdict.why,
                "rule": told[verdict.rule.id] if verdict.rule is not None else None,
            }
            for verb, verdict in verdicts.items()
        },
    }


def _must_have(index: Index, caller: Caller, rule: Rule) -> None:
    """Whoever administers a part only gives there what it has itself. Raises Forbidden."""
    if caller.may(ADMIN) or rule.effect is Effect.DENY:
        return
    if rule.principal == user_principal(caller.user_id):
        raise Forbidden("You cannot grant anything to yourself.")
    if Verb.ADMIN in rule.verbs and rule.principal in caller.principals:
        raise Forbidden("You cannot grant admin to those whom you belong to: it would be yours as well.")
    for verb in sorted(rule.verbs):
        if not may(index, caller, verb, rule.pattern):
            raise Forbidden(f"You cannot grant {verb}, which you do not have on all of {rule.pattern}.")


def _administers(index: Index, caller: Caller, rule: Rule) -> bool:
    return caller.may(ADMIN) or may(index, caller, Verb.ADMIN, rule.pattern)


def _granted(told: Mapping[str, Any]) -> Told:
    return Told(result=told, created=True)


register(
    Method(name="access/list", run=list_, params=PageParams(), needs=ADMIN, reads=True, resource_type="rule"),
    Method(
        name="access/grant",
        run=grant,
        params=GrantParams(),
        needs=ADMIN,
        on="pattern",
        resource_type="rule",
        resource="pattern",
    ),
    Method(name="access/revoke", run=revoke, params=RuleParams(), needs=ADMIN, resource_type="rule", resource="rule"),
    Method(
        name="access/explain",
        run=explain_,
        params=ExplainParams(),
        needs=ADMIN,
        on="uri",
        reads=True,
        resource_type="rule",
        resource="uri",
    ),
)
