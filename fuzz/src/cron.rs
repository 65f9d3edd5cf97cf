//! The cron parser, and when what it has read fires.

use crate::{Fault, Verdict, require};
use cairn_core::{Cron, Timestamp};

const MINUTE_MILLIS: i64 = 60_000;

/// The first eight bytes are a time, the others an expression.
pub(crate) fn check(bytes: &[u8]) -> Result<Verdict, Fault> {
    let (time, text) = bytes.split_at(bytes.len().min(8));
    let mut eight = [0; 8];
    eight[..time.len()].copy_from_slice(time);
    let time = Timestamp(i64::from_le_bytes(eight));
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok(Verdict::Refused("not UTF-8".into()));
    };
    let cron = match Cron::parse(text) {
        Ok(cron) => cron,
        Err(error) => return Ok(Verdict::Refused(error.to_string())),
    };
    require(Cron::parse(text) == Ok(cron), || {
        "read twice, it is two schedules".into()
    })?;
    if let Some(next) = cron.next_after(time) {
        require(next > time && next.0 % MINUTE_MILLIS == 0, || {
            format!("{text:?} fires at {next:?} after {time:?}")
        })?;
        require(cron.latest_at_or_before(next) == Some(next), || {
            format!("{text:?} fires at {next:?}, but not when asked backwards")
        })?;
        let before = Timestamp(next.0 - 1);
        require(cron.next_after(before) == Some(next), || {
            format!("{text:?} fires at {next:?}, but not when asked just before")
        })?;
        if let Some(latest) = cron.latest_at_or_before(before) {
            require(latest <= time, || {
                format!("{text:?} fires at {latest:?}, between {time:?} and {next:?}")
            })?;
        }
    }
    Ok(Verdict::Accepted)
}
