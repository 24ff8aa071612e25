//! Whether a run that costs money may begin: `--yes`, `--max-cost`, or one question on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use rust_decimal::Decimal;
use rustix::termios::{QueueSelector, tcflush};

use super::{Failure, RunArguments, Session, exit};
use crate::clock::rfc3339;
use crate::domain::money::Amount;
use crate::pipeline::prospect::Price;
use crate::queue::Allowance;
use crate::supervise;

/// What was said of money on the command line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    yes: bool,
    max_cost: Option<Decimal>,
}

/// What has to be done before a run may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    Given,
    Ask,
    /// Nobody can be asked.
    Missing,
}

impl Said {
    pub(super) fn by(arguments: &RunArguments) -> Self {
        Self {
            yes: arguments.yes,
            max_cost: arguments.max_cost,
        }
    }

    fn consent(self, price: Price, somebody_is_there: bool) -> Consent {
        if price.is_free() || self.yes || self.max_cost.is_some() {
            Consent::Given
        } else if somebody_is_there {
            Consent::Ask
        } else {
            Consent::Missing
        }
    }
}

/// What a person should know of money before saying yes, a sentence each.
pub(super) fn cautions(price: &Price) -> impl Iterator<Item = String> {
    let repeats = (price.repeats > 0).then(|| repeated(price.repeats));
    let anew = (price.anew > 0 && !price.is_free()).then(|| anew(price.anew));
    let limit = price
        .allowance
        .and_then(|allowance| beyond(allowance, price.cost));
    repeats.into_iter().chain(anew).chain(limit)
}

/// What is said of recordings whose answer was lost.
pub(super) fn repeated(recordings: usize) -> String {
    let them = match recordings {
        1 => "1 of them was handed over before and its answer lost: it".to_owned(),
        recordings => {
            format!("{recordings} of them were handed over before and their answers lost: each")
        }
    };
    format!(
        "{them} is repeated once and may be paid twice (service.in_doubt = \"hold\" leaves that to you)"
    )
}

/// What is said of recordings that have a transcript by other settings, or that `--force` asks for again.
pub(super) fn anew(recordings: usize) -> String {
    match recordings {
        1 => "1 of them has a transcript already, by other settings or by an earlier run: it is paid for anew"
            .to_owned(),
        recordings => format!(
            "{recordings} of them have a transcript already, by other settings or by an earlier run: each is paid for anew"
        ),
    }
}

/// What is said of a limit that does not leave enough for `cost` dollars, or for what nobody knows.
pub(super) fn beyond(allowance: Allowance, cost: Option<Decimal>) -> Option<String> {
    if cost.is_some_and(|cost| cost <= allowance.left) {
        return None;
    }
    let Allowance {
        name, limit, left, ..
    } = allowance;
    let until = match allowance.until {
        Some(until) => format!("until {}", rfc3339(until)),
        None => "for another run".to_owned(),
    };
    Some(format!(
        "{name} is {}, of which {} is left: what is beyond it waits {until}",
        Amount::usd(limit),
        Amount::usd(left),
    ))
}

/// Whether the run may begin; a stop while the question stands is a no.
///
/// # Errors
/// A [`Failure`] of wrong usage where money would be spent and nobody can be asked.
pub(super) async fn agreed(
    session: &Session,
    said: Said,
    price: Price,
    stop: impl Future<Output = ()>,
) -> Result<bool, Failure> {
    let on_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    match said.consent(price, on_terminal && !session.output.json()) {
        Consent::Given => Ok(true),
        Consent::Missing => Err(nobody_to_ask(price)),
        Consent::Ask => {
            if session.output.is_quiet() {
                // Nobody is asked about a price that was not said.
                writeln!(io::stderr().lock(), "{}", price.sentence())?;
            }
            ask(stop).await
        }
    }
}

async fn ask(stop: impl Future<Output = ()>) -> Result<bool, Failure> {
    // What was typed before the price was there to be read answers nothing.
    tcflush(io::stdin(), QueueSelector::IFlush).map_err(io::Error::from)?;
    write!(io::stderr().lock(), "Go on? [y/N] ")?;
    let answer = supervise::blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = tokio::select! {
        answer = answer => answer??,
        () = stop => {
            writeln!(io::stderr().lock())?;
            String::new()
        }
    };
    let answer = answer.trim().to_ascii_lowercase();
    Ok(matches!(answer.as_str(), "y" | "yes"))
}

fn nobody_to_ask(price: Price) -> Failure {
    let error = anyhow::anyhow!(
        "this run would cost money, and nobody can be asked here: {}",
        price.sentence()
    );
    let sum = match price.cost {
        Some(cost) => cost.normalize().to_string(),
        None => "USD".to_owned(),
    };
    Failure::new(exit::USAGE, error).hint(format!(
        "nothing was sent; --yes agrees, --max-cost {sum} agrees up to that sum, --dry-run shows each recording"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audio::AudioDuration;
    use crate::pipeline::prospect::WithService;

    fn price(recordings: usize, cost: Option<&str>) -> Price {
        Price {
            recordings,
            duration: AudioDuration::from_micros(60_000_000),
            cost: cost.map(|cost| cost.parse().unwrap()),
            repeats: 0,
            anew: 0,
            allowance: None,
            with_service: WithService::default(),
        }
    }

    #[test]
    fn only_what_costs_money_is_asked_about() {
        let silent = Said {
            yes: false,
            max_cost: None,
        };
        let yes = Said {
            yes: true,
            max_cost: None,
        };
        let limited = Said {
            yes: false,
            max_cost: Some(Decimal::ONE),
        };
        for (said, price, there, consent) in [
            (silent, price(0, Some("0")), false, Consent::Given),
            (silent, price(0, None), false, Consent::Given),
            (silent, price(3, Some("0")), false, Consent::Given),
            (silent, price(3, Some("0.01")), false, Consent::Missing),
            (silent, price(3, Some("0.01")), true, Consent::Ask),
            (silent, price(3, None), false, Consent::Missing),
            (silent, price(3, None), true, Consent::Ask),
            (yes, price(3, None), false, Consent::Given),
            (limited, price(3, Some("9")), false, Consent::Given),
        ] {
            assert_eq!(said.consent(price, there), consent, "{price:?} {there}");
        }
    }
}
