//! What cannot be changed while a fleet runs.

use repram_config::{Change, ClaimScope, Loaded, Problem, Reload};
use repram_discovery::secret::Secret;

use super::launch::Secrets;

/// The changes that need a new start of the supervisor, each as a problem of the setting.
pub(super) fn need_new_start(next: &Loaded, changes: &[Change]) -> Vec<Problem> {
    let over_domain = next.settings.claim_scope == ClaimScope::Domain;
    let needs = |change: &&Change| {
        // The supervisor itself signs with it where it claims over a domain.
        let signs = over_domain && change.declaration.key().starts_with("cluster_secret");
        change.reload() == Reload::NewStart || signs
    };
    let problem = |change: &Change| {
        let shown = |value: &Option<String>| match value {
            Some(value) => format!("{value:?}"),
            None => "nothing".to_owned(),
        };
        let found = format!(
            "{}, while the fleet runs with {}",
            shown(&change.new),
            shown(&change.old)
        );
        let allowed = "what it runs with, until the supervisor is started anew";
        next.problem(change.declaration.key(), found, allowed)
    };
    changes.iter().filter(needs).map(problem).collect()
}

/// Whether nodes that have been restarted with the `new` secrets and nodes that still have
/// the `old` ones would not believe each other. Then what only those hold that are restarted
/// last would be lost.
pub(super) fn secret_in_two_steps(next: &Loaded, old: &Secrets, new: &Secrets) -> Option<Problem> {
    if believes(old, new.current.as_ref()) && believes(new, old.current.as_ref()) {
        return None;
    }
    let allowed = "a change in two reloads, so that restarted nodes and the others believe each \
                   other: first the new secret as REPRAM_CLUSTER_SECRET_PREVIOUS beside the old \
                   one, then the two exchanged";
    Some(next.problem("cluster_secret", "another secret at once", allowed))
}

/// Whether a node with `secrets` believes what is signed with `signature`.
fn believes(secrets: &Secrets, signature: Option<&Secret>) -> bool {
    match (signature, &secrets.current) {
        (Some(signature), Some(current)) => {
            signature == current || secrets.previous.as_ref() == Some(signature)
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_must_believe_each_other_during_the_restart() {
        let secret = |name: &str| (!name.is_empty()).then(|| Secret::new(name.as_bytes()));
        let secrets = |[current, previous]: [&str; 2]| Secrets {
            current: secret(current),
            previous: secret(previous),
        };
        let check = |old, new, expect: bool| {
            let (before, after) = (secrets(old), secrets(new));
            let both = believes(&before, after.current.as_ref())
                && believes(&after, before.current.as_ref());
            assert_eq!(both, expect, "{old:?} to {new:?}");
        };
        check(["", ""], ["", ""], true);
        check(["a", ""], ["a", ""], true);
        check(["a", ""], ["b", ""], false);
        check(["", ""], ["a", ""], false);
        check(["a", ""], ["", ""], false);
        // The three steps of a rotation.
        check(["a", ""], ["a", "b"], true);
        check(["a", "b"], ["b", "a"], true);
        check(["b", "a"], ["b", ""], true);
        // Two of them at once.
        check(["a", ""], ["b", "a"], false);
        check(["a", "b"], ["b", ""], false);
    }
}
