//! Wrong tokens are limited by address: whoever guesses is told to wait, and costs next to nothing.
//!
//! Only failures count, and whoever has a right token passes: behind one address there may be a whole office. The exception is a root
//! token somebody chose himself and chose short; that one can be guessed, so it waits with the others.

use cairn_engine::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;

/// Addresses remembered; all others share one account.
const ADDRESSES_MAX: usize = 10_000;
const MINUTE_MILLIS: u64 = 60_000;

/// Who is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Crowd {
    Four([u8; 4]),
    /// A network of 64 bits: one customer has at least so much.
    Six([u8; 8]),
    /// All for whom there is no room, or whose address is not known.
    Others,
}

/// A full minute of failures; each takes its part of it for a while.
#[derive(Debug, Clone, Copy)]
struct Debt {
    millis: u64,
    at: Timestamp,
}

impl Debt {
    /// What is left of it.
    fn now(self, now: Timestamp) -> u64 {
        // A clock that is set back pays nothing back.
        let passed = u64::try_from(now.0.saturating_sub(self.at.0)).unwrap_or(0);
        self.millis.saturating_sub(passed)
    }
}

/// The failures of the last minute.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// What a failure takes; none when they are not limited.
    price: Option<u64>,
    debts: Mutex<HashMap<Crowd, Debt>>,
}

impl Attempts {
    /// With so many failures a minute for each address; 0 for any number.
    pub(crate) fn new(per_minute: u32) -> Self {
        let price = (per_minute > 0).then(|| (MINUTE_MILLIS / u64::from(per_minute)).max(1));
        Self {
            price,
            debts: Mutex::default(),
        }
    }

    /// The seconds to wait, when an address has no attempt left.
    pub(crate) fn wait_seconds(&self, address: Option<IpAddr>, now: Timestamp) -> Option<u32> {
        let price = self.price?;
        let debts = self.debts.lock();
        let debt = debts.get(&crowd(&debts, address))?.now(now);
        too_much(debt, price)
    }

    /// Counts a failure; the seconds to wait, when there was no attempt left before it.
    pub(crate) fn failed(&self, address: Option<IpAddr>, now: Timestamp) -> Option<u32> {
        let price = self.price?;
        let mut debts = self.debts.lock();
        if debts.len() >= ADDRESSES_MAX {
            debts.retain(|_, debt| debt.now(now) > 0);
        }
        let crowd = crowd(&debts, address);
        let debt = debts.get(&crowd).map_or(0, |debt| debt.now(now));
        if let Some(seconds) = too_much(debt, price) {
            return Some(seconds);
        }
        let millis = debt + price;
        debts.insert(crowd, Debt { millis, at: now });
        None
    }
}

/// Seconds until another failure fits into the minute.
fn too_much(debt: u64, price: u64) -> Option<u32> {
    let excess = (debt + price).saturating_sub(MINUTE_MILLIS);
    (excess > 0).then(|| u32::try_from(excess.div_ceil(1_000)).unwrap_or(u32::MAX))
}

fn crowd(debts: &HashMap<Crowd, Debt>, address: Option<IpAddr>) -> Crowd {
    let own = match address.map(|address| address.to_canonical()) {
        None => Crowd::Others,
        Some(IpAddr::V4(address)) => Crowd::Four(address.octets()),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            Crowd::Six([a, b, c, d, e, f, g, h])
        }
    };
    if debts.len() < ADDRESSES_MAX || debts.contains_key(&own) {
        own
    } else {
        Crowd::Others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_700_000_000_000 + seconds * 1_000)
    }

    #[test]
    fn ten_a_minute_and_then_one_every_six_seconds() {
        let attempts = Attempts::new(10);
        for _ in 0..10 {
            assert_eq!(attempts.wait_seconds(ip("10.0.0.1"), at(0)), None);
            assert_eq!(attempts.failed(ip("10.0.0.1"), at(0)), None);
        }
        for _ in 0..3 {
            assert_eq!(
                attempts.failed(ip("10.0.0.1"), at(0)),
                Some(6),
                "refusals cost nothing"
            );
        }
        assert_eq!(attempts.wait_seconds(ip("10.0.0.1"), at(1)), Some(5));
        assert_eq!(attempts.failed(ip("10.0.0.2"), at(0)), None, "another address");
        assert_eq!(attempts.failed(ip("10.0.0.1"), at(6)), None);
        assert_eq!(attempts.failed(ip("10.0.0.1"), at(6)), Some(6));
        for _ in 0..10 {
            assert_eq!(attempts.failed(ip("10.0.0.1"), at(70)), None);
        }
        assert_eq!(attempts.failed(ip("10.0.0.1"), at(70)), Some(6));
        assert_eq!(
            attempts.failed(ip("10.0.0.1"), at(0)),
            Some(6),
            "a clock set back forgives nothing"
        );
    }

    #[test]
    fn a_network_of_the_new_kind_is_one_address() {
        let attempts = Attempts::new(1);
        assert_eq!(attempts.failed(ip("2001:db8::1"), at(0)), None);
        assert!(attempts.failed(ip("2001:db8::2:3"), at(0)).is_some());
        assert_eq!(attempts.failed(ip("2001:db8:0:1::1"), at(0)), None);
        assert_eq!(attempts.failed(ip("10.0.0.1"), at(0)), None);
        assert!(
            attempts.failed(ip("::ffff:10.0.0.1"), at(0)).is_some(),
            "the same in disguise"
        );
    }

    #[test]
    fn many_addresses_take_no_more_room_than_there_is() {
        let attempts = Attempts::new(1);
        for number in 0..20_000_u32 {
            attempts.failed(Some(IpAddr::V4(number.into())), at(0));
        }
        assert!(attempts.debts.lock().len() <= ADDRESSES_MAX + 1);
        assert!(
            attempts.failed(Some(IpAddr::V4(1.into())), at(0)).is_some(),
            "those before are known still"
        );
        assert!(
            attempts.failed(Some(IpAddr::V4(99_999.into())), at(0)).is_some(),
            "the others share"
        );
        assert_eq!(attempts.failed(Some(IpAddr::V4(99_999.into())), at(61)), None);
        assert_eq!(attempts.debts.lock().len(), 1);
    }

    #[test]
    fn they_need_not_be_limited() {
        let attempts = Attempts::new(0);
        for _ in 0..1_000 {
            assert_eq!(attempts.failed(ip("10.0.0.1"), at(0)), None);
        }
    }
}
