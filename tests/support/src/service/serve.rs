//! One connection from its first byte to its last: reads, lets rules act, answers.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use super::contract::{self, Refusal};
use super::http::{Connection, Head, Reply};
use super::routes::{self, refuse};
use super::script::{Act, Endpoint, Moment, Rule};
use super::{Exchange, Shared};

/// Whether the connection lives on after a request.
#[derive(PartialEq, Eq)]
enum After {
    Keep,
    End,
}

/// Serves requests until the client goes, a rule ends it or the stand-in stops.
pub(super) fn serve(shared: &Shared, stream: Arc<TcpStream>, number: usize) {
    let mut connection = Connection::new(stream);
    loop {
        match request(shared, &mut connection, number) {
            Ok(After::Keep) => {}
            Ok(After::End) => return,
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    shared.change(|log| log.memory.violations.push(format!("HTTP: {error}")));
                }
                return;
            }
        }
    }
}

fn request(shared: &Shared, connection: &mut Connection, number: usize) -> io::Result<After> {
    let Some(head) = connection.head()? else {
        return Ok(After::End);
    };
    let endpoint = shared.endpoint(&head);
    let request = shared.begin(Exchange::new(number, endpoint, head.clone()));
    let early = shared.rule(endpoint, None);
    let mut body = Vec::new();
    if let Some(rule) = &early
        && rule.moment != Moment::Complete
    {
        let arrived = |count| shared.arrived(request, count);
        connection.body(&mut body, reached(rule.moment, &head), arrived)?;
        shared.wait_at(request, rule);
        if !matches!(rule.act, Act::GoOn) {
            return act(shared, connection, request, rule, None);
        }
    }
    read_rest(shared, connection, &head, &mut body, request)?;
    let early = early.filter(|rule| rule.moment == Moment::Complete);
    complete(shared, connection, request, &head, &body, early)
}

/// How many bytes of the body are read by this moment.
fn reached(moment: Moment, head: &Head) -> u64 {
    let length = head.length().unwrap_or(0);
    match moment {
        Moment::Head => 0,
        Moment::After(count) => count.min(length),
        Moment::Before(count) => length.saturating_sub(count),
        Moment::Complete => length,
    }
}

fn read_rest(
    shared: &Shared,
    connection: &mut Connection,
    head: &Head,
    body: &mut Vec<u8>,
    request: usize,
) -> io::Result<()> {
    let arrived = |count| shared.arrived(request, count);
    if head.chunked() {
        connection.chunks(body, arrived)
    } else {
        connection.body(body, head.length().unwrap_or(0), arrived)
    }
}

fn complete(
    shared: &Shared,
    connection: &mut Connection,
    request: usize,
    head: &Head,
    body: &[u8],
    early: Option<Rule>,
) -> io::Result<After> {
    let endpoint = shared.endpoint(head);
    let (rule, usual) = shared.change(|log| {
        let openai = endpoint == Endpoint::OpenAi;
        let submit = matches!(endpoint, Endpoint::Submit | Endpoint::OpenAi)
            .then(|| contract::submit(head, body, openai));
        let content = match &submit {
            Some(Ok((submit, _))) => Some(submit.content.as_str()),
            _ => None,
        };
        let rule = early.or_else(|| log.take_rule(endpoint, Some(content.unwrap_or(""))));
        let usual = log.usual(request, head, body, submit, rule.as_ref());
        (rule, usual)
    });
    match rule {
        None => answer(shared, connection, request, &usual),
        Some(rule) => {
            shared.wait_at(request, &rule);
            act(shared, connection, request, &rule, Some(usual))
        }
    }
}

fn answer(
    shared: &Shared,
    connection: &mut Connection,
    request: usize,
    reply: &Reply,
) -> io::Result<After> {
    // Recorded first: whoever has seen the reply must find it in the log.
    shared.answered(request, reply.status);
    connection.write(&reply.wire(&format!("req-{request}"), true))?;
    Ok(After::Keep)
}

fn act(
    shared: &Shared,
    connection: &mut Connection,
    request: usize,
    rule: &Rule,
    usual: Option<Reply>,
) -> io::Result<After> {
    let id = format!("req-{request}");
    let whole = rule.moment == Moment::Complete;
    match (&rule.act, usual) {
        (Act::GoOn, Some(usual)) => return answer(shared, connection, request, &usual),
        (Act::Answer(reply), _) if whole => return answer(shared, connection, request, reply),
        (Act::Answer(reply), _) => {
            shared.answered(request, reply.status);
            connection.write(&reply.wire(&id, false))?;
            connection.drain();
        }
        (Act::Hang, _) => connection.drain(),
        (Act::Reset, _) => connection.reset_on_close()?,
        (Act::Cut(reply, bytes), _) => {
            let wire = reply.wire(&id, true);
            connection.write(&wire[..wire.len().min(*bytes)])?;
        }
        (Act::Raw(bytes), _) => connection.write(bytes)?,
        (Act::Trickle(reply, bytes, pause), _) => {
            shared.answered(request, reply.status);
            for piece in reply.wire(&id, false).chunks((*bytes).max(1)) {
                connection.write(piece)?;
                thread::sleep(*pause);
            }
        }
        (Act::CutUsual(bytes), Some(usual)) => {
            let wire = usual.wire(&id, true);
            let head = wire.len() - usual.body.len();
            connection.write(&wire[..(head + bytes).min(wire.len())])?;
        }
        (Act::LoseUsual, Some(_)) => connection.reset_on_close()?,
        (Act::Close | Act::GoOn | Act::CutUsual(_) | Act::LoseUsual, _) => {}
    }
    shared.gone(request);
    Ok(After::End)
}

impl super::Log {
    /// Makes the usual reply, and charges for it unless the rule says that nothing was billed.
    fn usual(
        &mut self,
        request: usize,
        head: &Head,
        body: &[u8],
        submit: Option<Result<(contract::Submit, Vec<String>), Refusal>>,
        rule: Option<&Rule>,
    ) -> Reply {
        let endpoint = self.exchanges[request].endpoint;
        let sequence = self.next_sequence();
        let exchange = &mut self.exchanges[request];
        exchange.completed_at = Some(sequence);
        exchange.json = serde_json::from_slice(body).ok();
        if let Some(Ok((submit, _))) = &submit {
            exchange.submit = Some(submit.clone());
        }
        let acts_alone = rule
            .is_some_and(|rule| !matches!(rule.act, Act::GoOn | Act::CutUsual(_) | Act::LoseUsual));
        if acts_alone && !rule.is_some_and(|rule| rule.charged) {
            return Reply::empty(500);
        }
        if let Err(refusal) = self.memory.authorised(head, endpoint) {
            return refuse(&refusal);
        }
        match (endpoint, submit) {
            (Endpoint::Status, _) => self.memory.poll(body),
            (Endpoint::Balance, _) => self.memory.balance(),
            (Endpoint::Models, _) => routes::models(),
            (_, Some(Err(refusal))) => {
                let text = format!("a submit was refused: {} {}", refusal.0, refusal.1);
                self.memory.violations.push(text);
                refuse(&refusal)
            }
            (_, Some(Ok((submit, violations)))) => {
                self.memory.violations.extend(violations);
                if endpoint == Endpoint::OpenAi
                    && let Some(refused) = self.memory.refuse_times(&submit)
                {
                    return refused;
                }
                match self.memory.charge(&submit, request) {
                    Ok(amount) => {
                        self.memory
                            .accepted(&submit, amount, endpoint == Endpoint::OpenAi)
                    }
                    Err(refusal) => refuse(&refusal),
                }
            }
            (Endpoint::Unknown | Endpoint::Submit | Endpoint::OpenAi, None) => {
                refuse(&Refusal(404, format!("nothing at {}", head.target)))
            }
        }
    }
}
