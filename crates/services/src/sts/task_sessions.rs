//! Sessions of tasks' roles, which `node` makes and no record keeps.

use gantry_domain::Key;
use gantry_domain::View;
use gantry_domain::task::Task;
use gantry_domain::task_session::InstallationKey;
use gantry_types::ACCOUNT;
use gantry_wire::{Credential, Principal};

use crate::iam::find_role;

/// What verifies a request that a task signs, if the token is one of this installation. As on AWS a task's session outlives the
/// task, but not the task's record; and it is worth nothing without its role.
pub(crate) fn find(view: &View, secret: &str, access_key: &str, token: &str) -> Option<Credential> {
    let session = InstallationKey::derive(secret).open(access_key, token)?;
    let subject = session.subject;
    view.get::<Task>(&Key::task(&subject.region, &subject.cluster, &subject.task))?;
    let role = find_role(view, subject.role_name()).ok()??.document.shown;
    Some(Credential {
        secret_key: session.secret_access_key.0,
        session_token: Some(token.to_owned()),
        expires: Some(session.expires),
        principal: Principal {
            arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{}/{}", role.role_name, subject.task),
            user_id: format!("{}:{}", role.role_id, subject.task),
            account: ACCOUNT.to_owned(),
        },
    })
}
