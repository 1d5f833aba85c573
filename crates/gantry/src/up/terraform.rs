//! A folder of Terraform files, by the user's own `terraform`.

use std::path::Path;

use super::screen::Screen;
use crate::cli::Failure;
use crate::client::Client;

#[derive(Debug, Default)]
#[expect(dead_code, reason = "read when terraform is run")]
pub(crate) struct TerraformOptions {
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) plan_only: bool,
}

pub(crate) async fn up(
    _folder: &Path,
    _client: &Client,
    _screen: &mut Screen,
    _options: &TerraformOptions,
) -> Result<(), Failure> {
    Err(Failure::new(
        "running terraform",
        "folders of Terraform files are not brought up yet",
        "run terraform yourself: `eval $(gantry env)` sets what it needs",
    ))
}

pub(crate) async fn down(
    _folder: &Path,
    _client: &Client,
    _screen: &mut Screen,
    _options: &TerraformOptions,
) -> Result<(), Failure> {
    Err(Failure::new(
        "running terraform",
        "folders of Terraform files are not brought up yet",
        "run terraform yourself: `eval $(gantry env)` sets what it needs",
    ))
}
