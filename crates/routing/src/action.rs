//! What a rule does with a request.

use gantry_domain::elb::{FixedResponse, Forward, RuleAction};
use gantry_types::Arn;

use crate::redirect::RedirectTemplate;

/// A target group's place in [`crate::RouteTable::groups`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupSlot(pub usize);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Forward(WeightedGroups),
    Redirect(RedirectTemplate),
    FixedResponse(FixedResponse),
    /// The record holds no action that this version knows: the request is answered with a 500.
    Unknown,
}

impl Action {
    /// The last action that is known decides; those before it (authentication) belong to other listeners.
    pub(crate) fn compile(actions: &[RuleAction], slot: &mut impl FnMut(&Arn) -> GroupSlot) -> Self {
        match actions.last() {
            Some(RuleAction::Forward(forward)) => Self::Forward(WeightedGroups::compile(forward, slot)),
            Some(RuleAction::Redirect(redirect)) => Self::Redirect(RedirectTemplate::compile(redirect)),
            Some(RuleAction::FixedResponse(response)) => Self::FixedResponse(response.clone()),
            None => Self::Unknown,
        }
    }
}

/// Target groups and how much of the traffic each gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedGroups {
    /// The sum of the weights up to and with this group.
    cumulative: Vec<(u32, GroupSlot)>,
}

impl WeightedGroups {
    fn compile(forward: &Forward, slot: &mut impl FnMut(&Arn) -> GroupSlot) -> Self {
        // A forward to a single group needs no weight.
        let single = forward.target_groups.len() == 1;
        let mut sum: u32 = 0;
        let cumulative = forward
            .target_groups
            .iter()
            .map(|group| {
                sum = sum.saturating_add(if single { 1 } else { group.weight });
                (sum, slot(&group.target_group))
            })
            .collect();
        Self { cumulative }
    }

    /// The group for this request; `None` if every weight is zero. AWS does not turn to another group when this one is
    /// empty.
    pub fn choose(&self, random: u64) -> Option<GroupSlot> {
        let sum = u64::from(self.cumulative.last()?.0);
        let point = random.checked_rem(sum)?;
        self.cumulative.iter().find(|(upto, _)| point < u64::from(*upto)).map(|(_, slot)| *slot)
    }

    pub fn slots(&self) -> impl Iterator<Item = GroupSlot> + '_ {
        self.cumulative.iter().map(|(_, slot)| *slot)
    }
}

#[cfg(test)]
mod tests {
    use gantry_domain::elb::WeightedTargetGroup;
    use gantry_types::arn;

    use super::*;

    fn groups(weights: &[u32]) -> WeightedGroups {
        let target_groups = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| WeightedTargetGroup {
                target_group: arn("elasticloadbalancing", "us-east-1", &format!("targetgroup/g/{index}")),
                weight: *weight,
            })
            .collect();
        let mut next = 0;
        WeightedGroups::compile(&Forward { target_groups, stickiness: None }, &mut |_| {
            next += 1;
            GroupSlot(next - 1)
        })
    }

    #[test]
    fn each_group_gets_its_share() {
        let groups = groups(&[3, 0, 1]);
        let chosen: Vec<usize> = (0..4).map(|random| groups.choose(random).unwrap().0).collect();
        assert_eq!(chosen, [0, 0, 0, 2]);
    }

    #[test]
    fn a_single_group_needs_no_weight_and_many_without_one_get_nothing() {
        assert_eq!(groups(&[0]).choose(7), Some(GroupSlot(0)));
        assert_eq!(groups(&[0, 0]).choose(7), None);
        assert_eq!(groups(&[]).choose(7), None);
    }
}
