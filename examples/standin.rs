//! The stand-in of the speech service by hand, for demonstrations: nothing of it is real.
//!
//! `cargo run --example standin -- --port 8787` prints how to point stenod at it, and then a line
//! for each request and charge until Ctrl-C.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use stenod_support::service::{Act, Endpoint, Log, Moment, Reply, Rule, Standin};

/// What this program takes, printed when asked or when something is wrong.
const USAGE: &str = "\
usage: standin [--port N] [--key KEY] [--polls N] [--balance USD] [--fault FAULT]…

  --port N       listen on 127.0.0.1:N (0, the default: a free port)
  --key KEY      accept only this key (default: any)
  --polls N      polls before an Elevenlabs-STT run is completed (default 2)
  --balance USD  what there is to spend (default: no end)
  --fault FAULT  what goes wrong with the next submit; give it several times for the ones after
                   500       answer 500 after the body, charged
                   503       answer 503 with Retry-After: 2, not charged
                   429       answer 429 with Retry-After: 5, not charged
                   lost      charge, then reset the connection instead of answering
                   hang      take everything, never answer
                   reset     reset the connection halfway through the body
                   garbage   answer with something that is no HTTP";

/// How long to wait for news before looking at the stop of the world again.
const NEWS: Duration = Duration::from_secs(3600);

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let service = match prepare(&arguments) {
        Ok(service) => service,
        Err(why) => {
            writeln!(io::stderr(), "{why}\n\n{USAGE}")?;
            return Ok(ExitCode::from(2));
        }
    };
    writeln!(
        out,
        "Playing the speech service at {0}\n\n  \
         export STENOD_SERVICE__BASE_URL={0} NANOGPT_API_KEY=demo\n  \
         stenod run PATH\n\nCtrl-C ends it.\n",
        service.url()
    )?;
    let mut told = 0;
    loop {
        let ended = |log: &Log| log.exchanges.iter().take_while(|one| one.is_over()).count();
        if service.wait_within(NEWS, |log| ended(log) > told) {
            let news = service.look(|log| {
                let over = ended(log);
                let news = log.exchanges[told..over]
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                told = over;
                (news, log.ledger().charges.len(), log.ledger().total())
            });
            let (lines, charges, total): (Vec<String>, _, _) = news;
            writeln!(
                out,
                "{}   ({charges} charges, {total} USD)",
                lines.join("\n")
            )?;
        }
    }
}

fn prepare(arguments: &[String]) -> Result<Standin, String> {
    let mut port = 0;
    let mut rules = Vec::new();
    let (mut key, mut polls, mut balance) = (None, 2, None);
    for pair in arguments.chunks(2) {
        let [option, value] = pair else {
            return Err(format!("{} needs a value", pair[0]));
        };
        let number = || {
            value
                .parse::<u16>()
                .map_err(|_| format!("{value:?} is no number"))
        };
        match option.as_str() {
            "--port" => port = number()?,
            "--key" => key = Some(value.clone()),
            "--polls" => polls = u32::from(number()?),
            "--balance" => balance = Some(value),
            "--fault" => rules.push(fault(value)?),
            other => return Err(format!("there is no option {other:?}")),
        }
    }
    let service =
        Standin::start_at(port, "/api").map_err(|error| format!("port {port}: {error}"))?;
    service.behave(|behaviour| {
        behaviour.key = key;
        behaviour.polls = polls;
    });
    if let Some(balance) = balance {
        if balance.parse::<f64>().is_err() {
            return Err(format!("{balance:?} is no amount"));
        }
        service.set_balance(balance);
    }
    for rule in rules {
        service.script(rule);
    }
    Ok(service)
}

fn fault(name: &str) -> Result<Rule, String> {
    let rule = Rule::on(Endpoint::Submit);
    Ok(match name {
        "500" => rule.charged().answer(Reply::empty(500)),
        "503" => rule.answer(Reply::empty(503).with("retry-after", "2")),
        "429" => rule.answer(Reply::empty(429).with("retry-after", "5")),
        "lost" => rule.act(Act::LoseUsual),
        "hang" => rule.charged().act(Act::Hang),
        "reset" => rule.at(Moment::After(1000)).act(Act::Reset),
        "garbage" => rule.act(Act::Raw(b"what?\r\n".to_vec())),
        other => return Err(format!("there is no fault {other:?}")),
    })
}
