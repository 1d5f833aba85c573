//! Outputs that other stacks of the region may import, and who does.

use gantry_api::ApiError;
use gantry_domain::{Change, View};
use gantry_types::Region;
use serde::{Deserialize, Serialize};

use super::documents;
use crate::objects::{self, Found};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Export {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) stack_id: String,
}

/// One stack's use of one export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) export: String,
    pub(crate) stack_name: String,
}

documents!(Export, Import);

fn exports(region: &Region) -> String {
    format!("cloudformation/export/{region}")
}
fn imports(region: &Region) -> String {
    format!("cloudformation/import/{region}")
}

impl Export {
    pub(crate) fn find(view: &View, region: &Region, name: &str) -> Result<Option<Found<Self>>, ApiError> {
        objects::find(view, &exports(region), name)
    }
    pub(crate) fn list(view: &View, region: &Region) -> Result<Vec<Found<Self>>, ApiError> {
        objects::list(view, &exports(region))
    }
    pub(crate) fn create(self, region: &Region) -> Change {
        objects::create(&exports(region), &self.name.clone(), self)
    }
}

impl Import {
    /// By the importing stack first: `|` stands in neither name.
    pub(crate) fn list(view: &View, region: &Region) -> Result<Vec<Found<Self>>, ApiError> {
        objects::list(view, &imports(region))
    }
    pub(crate) fn create(self, region: &Region) -> Change {
        objects::create(&imports(region), &format!("{}|{}", self.stack_name, self.export), self)
    }
}
