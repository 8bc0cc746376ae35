//! Measures, each beside a limit measured in the same run with the same payload and client count; prints its settings.

mod beside;
mod clients;
pub mod history;
mod house;
mod ingest;
mod latency;
mod limits;
mod load;
mod mosquitto;
mod stream;

use std::net::{Ipv4Addr, SocketAddr};

use crate::cli::{Failure, start_log};
use crate::config::Log;

#[derive(clap::Subcommand)]
pub enum Command {
    /// How many messages a second are stored and acknowledged, beside the broker alone and the storage alone
    Ingest(ingest::Arguments),
    /// Charts and lists of devices over a year of observations
    History(history::Arguments),
    /// From a button to a program that reads the stream, beside a bare broker's echo
    Latency(latency::Arguments),
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    // What goes wrong beside the figures is part of them.
    start_log(&Log { filter: "warn,songhe_kernel::db::writer=error".to_owned(), ..Log::default() });
    match command {
        Command::Ingest(arguments) => ingest::run(arguments).await,
        Command::History(arguments) => history::run(arguments).await,
        Command::Latency(arguments) => latency::run(arguments).await,
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn sorted(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples
}

/// The value below which a share of the sorted samples lies, in milliseconds.
fn percentile_ms(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    // A share of at most one of a length that was counted: it fits.
    let at = (share * last as f64).round() as usize;
    sorted.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_samples() {
        let samples: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((percentile_ms(&samples, 0.5) - 51.0).abs() < 1.5);
        assert!((percentile_ms(&samples, 0.99) - 99.0).abs() < 1.5);
        assert!(percentile_ms(&[], 0.5).is_nan());
    }
}
