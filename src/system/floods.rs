//! Devices that send too much become a fault of theirs: told when it begins and when it is over.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use songhe_devices::floods;
use songhe_kernel::{Database, Result};

/// A flood is over when nothing was heard of it for so long.
const OVER_AFTER: Duration = Duration::from_secs(120);
/// Faults told at one look: whoever makes all devices loud does not hold up the rest.
const AT_A_LOOK: usize = 20;

/// What this process has told.
#[derive(Debug, Default)]
pub(super) struct Floods {
    told: HashMap<String, Instant>,
}

impl Floods {
    /// `loud`: devices and how many of their messages of the last minute or two were too many. `most`: so many are no
    /// fault.
    pub(super) async fn look(&mut self, db: &Database, loud: Vec<(String, u64)>, most: u64) -> Result<()> {
        let now = Instant::now();
        let mut left = AT_A_LOOK;
        for (serial, n) in loud.into_iter().filter(|(_, n)| *n > most) {
            if let Some(heard) = self.told.get_mut(&serial) {
                *heard = now;
            } else if left > 0 {
                left -= 1;
                let device = serial.clone();
                db.write(move |tx| floods::report(tx, &device, n)).await?;
                self.told.insert(serial, now);
            }
        }
        let over = self.told.iter().filter(|(_, heard)| now.saturating_duration_since(**heard) >= OVER_AFTER);
        let over: Vec<String> = over.map(|(serial, _)| serial.clone()).collect();
        for serial in over {
            let device = serial.clone();
            db.write(move |tx| floods::report_over(tx, &device)).await?;
            self.told.remove(&serial);
        }
        Ok(())
    }
}
