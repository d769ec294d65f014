//! Being the only one: two controllers of one instance on one engine would undo each other's work.
//!
//! The claim is a Unix socket in the abstract namespace, named after engine and instance: the kernel gives it to one
//! process of a network namespace and takes it back when that ends, however it ends. A controller in a container with
//! the host's network shares it with one on the host.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use sha2::{Digest, Sha256};

use crate::engine::EngineIdentity;
use crate::model::name::Instance;
use crate::model::text::hex;

/// The claim on an engine; giving it up is dropping it.
pub struct Claim {
    engine: String,
    _socket: UnixListener,
}

impl Claim {
    /// Whether it is the claim on this engine.
    pub fn is_on(&self, identity: &EngineIdentity) -> bool {
        self.engine == identity.id
    }

    /// Claims `instance` on an engine, or says who has it.
    pub fn make(identity: &EngineIdentity, instance: &Instance) -> Result<Self, String> {
        let digest = Sha256::digest(format!("{}/{instance}", identity.id));
        let name = format!("evenkeel-{}", hex(&digest, 32));
        let address =
            SocketAddr::from_abstract_name(name).map_err(|error| format!("cannot claim the engine: {error}"))?;
        match UnixListener::bind_addr(&address) {
            Ok(socket) => Ok(Self { engine: identity.id.clone(), _socket: socket }),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(format!(
                "another Evenkeel runs on this engine as instance '{instance}': stop it, or give this one another --instance"
            )),
            Err(error) => Err(format!("cannot claim the engine: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::Name;

    #[test]
    fn a_second_claim_of_the_same_instance_is_refused_until_the_first_is_dropped() {
        let engine = EngineIdentity { id: "sole-test".into(), ..EngineIdentity::default() };
        let instance = Name::new("evenkeel").unwrap();
        let first = Claim::make(&engine, &instance).unwrap();
        assert!(Claim::make(&engine, &instance).err().unwrap().contains("another Evenkeel"));
        assert!(Claim::make(&engine, &Name::new("other").unwrap()).is_ok());
        drop(first);
        assert!(Claim::make(&engine, &instance).is_ok());
    }
}
