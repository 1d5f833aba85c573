//! Who the container's program runs as: ECS's `user` against the image's own accounts.

use crate::error::{StartFailure, StartFailureKind};

/// A user as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) supplementary_gids: Vec<u32>,
    pub(crate) home: String,
}

/// Docker's rules: a name must be in the image; a number need not be, and then its group is 0 unless given. A user by
/// name without a group is also in every group that lists it.
pub(crate) fn resolve(user: &str, passwd: &str, group: &str) -> Result<Account, StartFailure> {
    let (user_part, group_part) = match user.split_once(':') {
        Some((user_part, group_part)) => (user_part, group_part),
        None => (user, ""),
    };
    let user_part = if user_part.is_empty() { "0" } else { user_part };
    let entry = passwd.lines().filter_map(PasswdEntry::parse).find(|entry| entry.is(user_part));
    let mut account = match &entry {
        Some(entry) => Account {
            uid: entry.uid,
            gid: entry.gid,
            supplementary_gids: Vec::new(),
            home: entry.home.to_owned(),
        },
        None => {
            let uid = number(user_part).ok_or_else(|| unknown("user", user_part, "/etc/passwd"))?;
            Account { uid, gid: 0, supplementary_gids: Vec::new(), home: "/".to_owned() }
        }
    };
    if account.home.is_empty() {
        account.home = "/".to_owned();
    }
    let groups = || group.lines().filter_map(GroupEntry::parse);
    if !group_part.is_empty() {
        account.gid = groups()
            .find(|entry| entry.name == group_part)
            .map(|entry| entry.gid)
            .or_else(|| number(group_part))
            .ok_or_else(|| unknown("group", group_part, "/etc/group"))?;
    } else if let Some(entry) = &entry {
        let member = |group: &GroupEntry<'_>| group.members.split(',').any(|member| member == entry.name);
        account.supplementary_gids = groups().filter(member).map(|group| group.gid).collect();
        account.supplementary_gids.truncate(SUPPLEMENTARY_GROUPS_MAX);
    }
    Ok(account)
}

/// The kernel's own bound is 65,536.
const SUPPLEMENTARY_GROUPS_MAX: usize = 4096;

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> PasswdEntry<'a> {
    /// `name:password:uid:gid:comment:home:shell`
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = number(fields.nth(1)?)?;
        let gid = number(fields.next()?)?;
        Some(Self { name, uid, gid, home: fields.nth(1).unwrap_or("") })
    }
    fn is(&self, user: &str) -> bool {
        self.name == user || number(user) == Some(self.uid)
    }
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> GroupEntry<'a> {
    /// `name:password:gid:members`
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = number(fields.nth(1)?)?;
        Some(Self { name, gid, members: fields.next().unwrap_or("").trim() })
    }
}

/// The largest id means "unchanged" to the kernel, so it is none.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

fn unknown(what: &str, name: &str, file: &str) -> StartFailure {
    let message = format!("unable to find {what} {name:?}: no matching entry in the image's {file}");
    StartFailure::new(StartFailureKind::UnknownUser, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\napp:x:1000:1001::/home/app:/bin/sh\nnohome:x:7:8\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nlogs:x:50:app,root\nweb:x:60:other,app\n";

    #[test]
    fn users_are_resolved_by_dockers_rules() {
        type Expected = Result<(u32, u32, &'static [u32], &'static str), &'static str>;
        let cases: [(&str, Expected); 14] = [
            ("", Ok((0, 0, &[50], "/root"))),
            ("root", Ok((0, 0, &[50], "/root"))),
            ("app", Ok((1000, 1001, &[50, 60], "/home/app"))),
            ("1000", Ok((1000, 1001, &[50, 60], "/home/app"))),
            ("app:logs", Ok((1000, 50, &[], "/home/app"))),
            ("app:60", Ok((1000, 60, &[], "/home/app"))),
            ("1000:999", Ok((1000, 999, &[], "/home/app"))),
            ("4242", Ok((4242, 0, &[], "/"))),
            (":web", Ok((0, 60, &[], "/root"))),
            ("nohome", Ok((7, 8, &[], "/"))),
            ("nobody", Err("unable to find user \"nobody\"")),
            ("app:nogroup", Err("unable to find group \"nogroup\"")),
            ("4294967295", Err("unable to find user")),
            ("-1", Err("unable to find user \"-1\"")),
        ];
        for (user, expected) in cases {
            match (resolve(user, PASSWD, GROUP), expected) {
                (Ok(account), Ok((uid, gid, groups, home))) => {
                    let expected =
                        Account { uid, gid, supplementary_gids: groups.to_vec(), home: home.to_owned() };
                    assert_eq!(account, expected, "{user}");
                }
                (Err(error), Err(text)) => assert!(error.message.contains(text), "{user}: {error}"),
                (found, expected) => panic!("{user}: {found:?} is not {expected:?}"),
            }
        }
        assert!(resolve("app", "", "").is_err());
        assert_eq!(resolve("5:6", "", "").map(|account| (account.uid, account.gid)), Ok((5, 6)));
    }
}
