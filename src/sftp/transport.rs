//! One SFTP channel: messages in, the engine, replies out, and no way to deadlock.
//!
//! While a reply is being sent, the channel goes on being emptied into a backlog with a cap; a loop that only sends would
//! block russh's own loop, which both directions need (reproduced with the plain loop).
//! A reply that does not move is given up after a time. What a client asked before it went is carried out, its CLOSE above all: scripts
//! leave without waiting for the last answer. This module does not know what is being transferred.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tracing::{debug, info};

use crate::sftp::Options;
use crate::sftp::engine::{Engine, OUTPUT_BYTES_MAX, Tree};
use crate::sftp::sessions::{Doing, Ending, Session};
use crate::shutdown;

/// Messages taken before the engine runs, so that many small requests share one reply.
const BATCH_MESSAGES_MAX: usize = 8;

/// What a message in the backlog costs beyond its bytes.
const MESSAGE_BYTES: usize = 64;

/// Time without a request after which a channel with nothing open may go when the daemon ends: after a CLOSE come STAT, SETSTAT and
/// RENAME, each a round trip, which takes 0.6 s over a satellite.
const REST: Duration = Duration::from_secs(2);

/// All the time for that, since some ask on and on, for a status.
const REST_MAX: Duration = Duration::from_secs(5);

/// Time for the last words of a channel.
const FAREWELL: Duration = Duration::from_secs(5);

/// How a channel came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// The client sent EOF or closed, and everything before it is answered.
    Finished,
    /// The stream could not be followed.
    Malformed,
    /// The daemon ends, nothing is open, and nothing more is asked.
    Drained,
    /// The channel or its connection is gone; what was asked before is carried out.
    Gone,
    /// The connection must go.
    Abort(Ending),
}

/// Serves a channel until it ends. What is open then stays a partial.
pub(crate) async fn serve<T: Tree>(
    channel: Channel<Msg>,
    engine: Engine<T>,
    session: Arc<Session>,
    limits: &Options,
    stop: shutdown::Signal,
) -> End {
    let (read_half, write_half) = channel.split();
    let backlog = Backlog { messages: VecDeque::new(), bytes: 0, session: Arc::clone(&session) };
    let inbox = Inbox { messages: read_half, backlog, taken: 0, ended: None };
    let mut line = Line { inbox, write_half, engine, session: Arc::clone(&session), limits, stop, answered: Instant::now(), quiet: None };
    let end = line.run().await;
    debug!(?end, "channel ended");
    if let End::Abort(ending) = end {
        // Before the engine goes: what is open then is told why.
        session.end(ending);
    }
    // The inbox goes first: russh's loop must never wait for it again. Then the engine, and with it what was open.
    let Line { write_half, engine, inbox, .. } = line;
    drop(inbox);
    drop(engine);
    match end {
        End::Finished | End::Malformed | End::Drained => {
            let status = u32::from(end == End::Malformed);
            let farewell = async {
                write_half.exit_status(status).await?;
                write_half.eof().await?;
                write_half.close().await
            };
            // An error means that the connection is gone already.
            if timeout(FAREWELL, farewell).await.is_err() {
                session.end(Ending::Stalled);
            }
        }
        End::Gone | End::Abort(_) => {}
    }
    end
}

/// Messages of a channel in the order they came.
struct Inbox {
    messages: ChannelReadHalf,
    backlog: Backlog,
    /// Bytes of the first message that the engine has taken.
    taken: usize,
    ended: Option<End>,
}

/// Messages that wait, counted as their session's, whose channels share one cap.
struct Backlog {
    messages: VecDeque<bytes::Bytes>,
    bytes: usize,
    session: Arc<Session>,
}

struct Line<'a, T: Tree> {
    inbox: Inbox,
    write_half: ChannelWriteHalf<Msg>,
    engine: Engine<T>,
    session: Arc<Session>,
    limits: &'a Options,
    stop: shutdown::Signal,
    /// When the last request was answered.
    answered: Instant,
    /// When, after the signal, nothing was open for the first time.
    quiet: Option<Instant>,
}

impl<T: Tree> Line<'_, T> {
    async fn run(&mut self) -> End {
        let end = self.converse().await;
        if end == End::Gone {
            self.carry_out_rest().await;
        }
        // Its connection may go on without it, and is watched as one that asks nothing.
        self.session.now(Doing::Idle);
        end
    }

    async fn converse(&mut self) -> End {
        loop {
            if let Some(end) = self.gather().await {
                return end;
            }
            self.session.now(Doing::Files);
            let mut out = Vec::new();
            let framing = self.inbox.feed(&mut self.engine, &mut out);
            let sent = if out.is_empty() { Ok(()) } else { self.send(out).await };
            match (sent, framing) {
                (Err(end @ End::Abort(_)), _) => return end,
                // Gone or not: what follows cannot be followed.
                (_, Err(framing)) => {
                    info!(reason = framing.to_string(), "channel closed");
                    return End::Malformed;
                }
                (Err(end), Ok(())) => return end,
                (Ok(()), Ok(())) => {}
            }
            self.session.now(Doing::Idle);
            self.answered = Instant::now();
        }
    }

    /// Carries out what has come of a client that is gone. Nobody hears the answers, so no more is done than fills one reply.
    async fn carry_out_rest(&mut self) {
        while self.inbox.ended.is_none() {
            let message = self.inbox.messages.wait().await;
            self.inbox.enter(message);
        }
        self.session.now(Doing::Files);
        let mut unheard = Vec::new();
        if let Err(framing) = self.inbox.feed(&mut self.engine, &mut unheard) {
            info!(reason = framing.to_string(), "channel closed");
        }
    }

    /// Waits until there is something to feed, and takes what else is ready. `Some` if nothing will come any more.
    async fn gather(&mut self) -> Option<End> {
        while self.inbox.backlog.messages.is_empty() {
            if self.inbox.ended.is_some() {
                return self.inbox.ended;
            }
            let quiet = self.engine.open_count() == 0 && !self.engine.is_amid_packet();
            tokio::select! {
                message = self.inbox.messages.wait() => self.inbox.enter(message),
                () = rest(&mut self.stop, self.answered, &mut self.quiet), if quiet => return Some(End::Drained),
            }
        }
        while self.inbox.ended.is_none() && self.inbox.backlog.messages.len() < BATCH_MESSAGES_MAX {
            tokio::select! {
                biased;
                message = self.inbox.messages.wait() => self.inbox.enter(message),
                () = ready(()) => break,
            }
        }
        self.inbox.ended.filter(|end| *end == End::Gone)
    }

    /// Sends a reply, emptying the channel all the while.
    async fn send(&mut self, reply: Vec<u8>) -> Result<(), End> {
        self.session.now(Doing::Replying);
        let sending = self.write_half.data_bytes(reply);
        tokio::pin!(sending);
        let period = Duration::from_secs(self.limits.reply_seconds);
        let mut check = interval_at(tokio::time::Instant::now() + period, period);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut mark = self.session.written();
        loop {
            tokio::select! {
                biased;
                sent = &mut sending => return sent.map_err(|_| End::Gone),
                message = self.inbox.messages.wait(), if self.inbox.ended.is_none() => {
                    self.inbox.enter(message);
                    if self.session.backlog_bytes() > self.limits.backlog_bytes_max {
                        return Err(End::Abort(Ending::Flooding));
                    }
                    if self.inbox.ended == Some(End::Gone) {
                        return Err(End::Gone);
                    }
                }
                _ = check.tick() => {
                    if !self.session.has_progressed(&mut mark) {
                        return Err(End::Abort(Ending::Stalled));
                    }
                    self.session.touch();
                }
            }
        }
    }
}

/// Waits until the daemon ends and what follows a CLOSE has had its time.
async fn rest(stop: &mut shutdown::Signal, answered: Instant, quiet: &mut Option<Instant>) {
    stop.raised().await;
    let quiet = *quiet.get_or_insert_with(Instant::now);
    sleep_until((answered + REST).min(quiet + REST_MAX)).await;
}

impl Inbox {
    fn enter(&mut self, message: Option<ChannelMsg>) {
        match message {
            Some(ChannelMsg::Data { data }) => self.backlog.push(data),
            // A channel that is closed takes no reply either.
            Some(ChannelMsg::Close) | None => self.ended = Some(End::Gone),
            Some(ChannelMsg::Eof) => self.ended = Some(End::Finished),
            Some(_) => {}
        }
    }

    /// Feeds the backlog until it is empty or the output is full.
    fn feed<T: Tree>(&mut self, engine: &mut Engine<T>, out: &mut Vec<u8>) -> Result<(), crate::sftp::engine::Framing> {
        engine.more_came();
        while let Some(first) = self.backlog.messages.front()
            && out.len() < OUTPUT_BYTES_MAX
        {
            self.taken += engine.feed(&first[self.taken..], out)?;
            if self.taken == first.len() {
                self.taken = 0;
                self.backlog.pop();
            }
        }
        Ok(())
    }
}

impl Backlog {
    fn push(&mut self, message: bytes::Bytes) {
        self.bytes += message.len() + MESSAGE_BYTES;
        self.session.add_backlog(message.len() + MESSAGE_BYTES);
        self.messages.push_back(message);
    }

    fn pop(&mut self) {
        let bytes = self.messages.pop_front().map_or(0, |message| message.len() + MESSAGE_BYTES);
        self.bytes -= bytes;
        self.session.take_backlog(bytes);
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.session.take_backlog(self.bytes);
    }
}
