//! ICMP and ICMPv6 echo by the system's `ping`.

use std::net::IpAddr;

use crate::{LabError, Namespace};

/// What became of some echo requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pings {
    /// Requests sent.
    pub sent: u32,
    /// Replies received.
    pub received: u32,
}

impl Pings {
    /// True where every request was answered, and there was one.
    pub fn all_answered(self) -> bool {
        self.sent > 0 && self.sent == self.received
    }
}

/// Sends `count` echo requests, 100 ms apart, and waits one second for the last reply.
pub fn ping(from: &Namespace, to: IpAddr, count: u32) -> Result<Pings, LabError> {
    // Exit status 1 says that replies are missing, which is an answer, not a failure.
    let script = "ping -n -q -i 0.1 -W 1 -c \"$0\" \"$1\" || [ $? = 1 ]";
    let text = from.run("sh", &["-c", script, &count.to_string(), &to.to_string()])?;
    parse(&text).ok_or_else(|| LabError::NotUnderstood {
        what: "summary of ping".to_owned(),
        found: text,
    })
}

fn parse(text: &str) -> Option<Pings> {
    let summary = text.lines().find(|line| line.contains("packets transmitted"))?;
    let mut numbers = summary
        .split(',')
        .map(|part| part.trim().split(' ').next()?.parse().ok());
    Some(Pings {
        sent: numbers.next()??,
        received: numbers.next()??,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read() {
        let text = "PING 10.0.0.1\n\n--- ping statistics ---\n\
                    3 packets transmitted, 2 received, +1 errors, 33% packet loss, time 2ms\n";
        assert_eq!(parse(text), Some(Pings { sent: 3, received: 2 }));
        assert_eq!(parse("ping: connect: Network is unreachable"), None);
    }
}
