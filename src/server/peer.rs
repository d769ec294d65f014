//! Who is at the other end of the Unix socket: the kernel says which user, and files of the host his name. It allows and
//! refuses nothing.

use std::path::Path;
use std::sync::Arc;

use tokio::net::UnixStream;

use super::connection::Requests;

/// Where names of users are. In a container these are the container's.
const USERS: &str = "/etc/passwd";
/// What the kernel says of a process that nobody has logged in for.
const NOBODY_LOGGED_IN: u32 = u32::MAX;

/// Who has connected, for people: `alice`, `alice (as root)` after a `sudo`, `user 1000` without a name.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The name.
    pub name: String,
    /// What the connection has asked for so far.
    pub requests: Arc<Requests>,
}

impl From<String> for Peer {
    fn from(name: String) -> Self {
        Self { name, requests: Arc::default() }
    }
}

impl Peer {
    /// Who is at the other end of a connection.
    pub fn of(stream: &UnixStream) -> Self {
        let Ok(credentials) = stream.peer_cred() else { return Self::from("unknown user".to_owned()) };
        let login = credentials.pid().and_then(logged_in);
        let users = std::fs::read_to_string(USERS).unwrap_or_default();
        Self::from(described(credentials.uid(), login, &users))
    }
}

/// The user who logged in for a process, whatever he has become since; none where the kernel does not keep it.
fn logged_in(process: i32) -> Option<u32> {
    let path = Path::new("/proc").join(process.to_string()).join("loginuid");
    let uid = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (uid != NOBODY_LOGGED_IN).then_some(uid)
}

fn described(user: u32, login: Option<u32>, users: &str) -> String {
    match login.filter(|login| *login != user) {
        Some(login) => format!("{} (as {})", name(login, users), name(user, users)),
        None => name(user, users),
    }
}

/// Lines are `name:password:number:…`.
fn name(user: u32, users: &str) -> String {
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find_map(|fields| match fields[..] {
        [name, _, number, ..] if number.parse() == Ok(user) => Some(name.to_owned()),
        _ => None,
    });
    found.unwrap_or_else(|| format!("user {user}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_told_by_name_and_after_sudo_by_who_logged_in() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(described(1000, None, users), "alice");
        assert_eq!(described(0, Some(1000), users), "alice (as root)");
        assert_eq!(described(0, Some(0), users), "root");
        assert_eq!(described(1001, None, users), "user 1001");
        assert_eq!(described(0, None, ""), "user 0");
    }
}
