//! Clearing up. A socket that somebody holds keeps a namespace and its links alive, so links go first, by name; what is
//! left of the namespace then is an empty shell.

use gantry_types::{NetworkInterfaceId, VpcId};

use super::host::on_host;
use super::{NetworkError, Vpcs};
use crate::name;
use crate::namespace;
use crate::netlink::Messages;
use crate::route;

impl Vpcs {
    /// Takes away a VPC with its interfaces. Idempotent. Close the sockets in it first.
    pub fn teardown_vpc(&self, vpc_id: &VpcId) -> Result<(), NetworkError> {
        let _turn = self.host.turn();
        match self.vpc(vpc_id) {
            Ok(vpc) => {
                let interfaces = self.interfaces_of(&vpc)?;
                let mut messages = Messages::new();
                route::delete_configured_links(&mut messages);
                vpc.route.request(messages).map_err(|error| vpc.failed(error))?;
                for interface in interfaces {
                    self.remove_interface(vpc_id, &interface.interface_id)?;
                }
            }
            Err(NetworkError::NoSuchVpc(_)) => {}
            Err(error) => return Err(error),
        }
        let links = route::links(&self.host.route).map_err(on_host)?;
        let prefix = self.config.instance.link_prefix();
        let mut messages = Messages::new();
        for link in links.iter().filter(|link| link.name.starts_with(&prefix)) {
            if link.alias.as_deref() == Some(vpc_id.as_str()) {
                route::delete_link(&mut messages, &link.name);
            }
        }
        self.host.route.request(messages).map_err(on_host)?;
        self.known().remove(vpc_id);
        Ok(namespace::remove(&self.vpc_namespace(vpc_id))?)
    }

    /// Takes away everything of this installation, whoever made it. Only the host's `ip_forward` stays as it is.
    pub fn teardown_all(self) -> Result<(), NetworkError> {
        let names = self.namespaces()?;
        for name in &names {
            let vpc_id = VpcId::new(name.as_str());
            if name::check_vpc(&vpc_id).is_ok() {
                self.teardown_vpc(&vpc_id)?;
            }
        }
        for name in &names {
            if name::interface_link(&NetworkInterfaceId::new(name.as_str())).is_ok() {
                namespace::remove(&self.namespace_path(name))?;
            }
        }
        for container in self.list_containers()? {
            namespace::remove(&self.container_namespace(&container))?;
        }
        let prefix = self.config.instance.link_prefix();
        let mut messages = Messages::new();
        for link in route::links(&self.host.route).map_err(on_host)? {
            if link.name.starts_with(&prefix) {
                route::delete_link(&mut messages, &link.name);
            }
        }
        self.host.route.request(messages).map_err(on_host)?;
        self.host.clear(&self.config.instance)?;
        Ok(namespace::remove_directory(&self.config.run_dir.join("netns"))?)
    }
}
