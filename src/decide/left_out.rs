//! Whether a deployment goes on without the instances that failed.

use std::collections::BTreeSet;

use crate::model::{failure::Failure, fleet::OnInstanceFailure, name::InstanceName, outcome::Cause};

/// What the answer depends on besides what failed.
#[derive(Debug, Clone)]
pub struct FailureScope<'a> {
    pub rule: OnInstanceFailure,
    /// The instances that the deployment changes.
    pub touched: BTreeSet<&'a InstanceName>,
    /// Whether the same commits are live on other instances already, where an earlier deployment left these out.
    pub completes: bool,
}

impl FailureScope<'_> {
    /// Whether the deployment goes on without `failed`, all that have failed so far. A commit that is live nowhere
    /// because each instance failed is a failure of the commit.
    pub fn goes_on_without<'f>(&self, failed: impl IntoIterator<Item = &'f Failure>) -> bool {
        let OnInstanceFailure::LeaveOut { at_most } = self.rule else { return false };
        let mut instances = BTreeSet::new();
        for failure in failed {
            let Some(instance) = failure.instance().filter(|_| is_the_instances(failure.cause)) else { return false };
            instances.insert(instance);
        }
        let (failed, touched) = (instances.len(), self.touched.len());
        u32::try_from(failed).is_ok_and(|failed| failed <= at_most) && (failed < touched || self.completes)
    }
}

/// Whether the failure can be one instance's alone.
fn is_the_instances(cause: Cause) -> bool {
    match cause {
        Cause::Step | Cause::Host | Cause::Lost | Cause::Overtaken | Cause::Interrupted => true,
        Cause::Cancelled | Cause::Refused | Cause::Build => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(names: &[&str], cause: Cause) -> Vec<Failure> {
        let failure = |name: &&str| Failure::of_instance(&name.parse().expect("a name"), cause, "it failed");
        names.iter().map(failure).collect()
    }

    fn goes_on(rule: OnInstanceFailure, failed: &[Failure], completes: bool) -> bool {
        let names: Vec<InstanceName> = ["h1", "h2", "h3"].map(|name| name.parse().expect("a name")).into();
        FailureScope { rule, touched: names.iter().collect(), completes }.goes_on_without(failed)
    }

    const ONE: OnInstanceFailure = OnInstanceFailure::LeaveOut { at_most: 1 };
    const MANY: OnInstanceFailure = OnInstanceFailure::LeaveOut { at_most: 9 };

    #[test]
    fn only_as_many_as_are_declared_are_left_out() {
        let (one, two) = (failures(&["h1"], Cause::Step), failures(&["h1", "h2"], Cause::Lost));
        assert!(!goes_on(OnInstanceFailure::Undo, &one, false));
        assert!(goes_on(ONE, &one, false) && !goes_on(ONE, &two, false) && goes_on(MANY, &two, false));
        assert!(goes_on(ONE, &failures(&["h1", "h1"], Cause::Step), false), "two steps of one instance");
    }

    #[test]
    fn what_fails_everywhere_is_the_commits_fault_unless_the_commit_is_live_elsewhere() {
        let all = failures(&["h1", "h2", "h3"], Cause::Step);
        assert!(!goes_on(MANY, &all, false) && goes_on(MANY, &all, true));
    }

    #[test]
    fn what_a_person_or_the_controller_ends_is_ended_everywhere() {
        for cause in [Cause::Cancelled, Cause::Refused, Cause::Build] {
            assert!(!goes_on(MANY, &failures(&["h1"], cause), true), "{cause:?}");
        }
    }
}
