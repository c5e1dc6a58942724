//! `testbed disturb`: a privileged pod of ours on a node, for what is below the API. See [`crate::cluster::outpost::nodes`] for what it is
//! asked. Whatever it does ends by itself after its time, and when it is told to end.

mod held;
mod network;
mod process;

use super::guarded::{self, Options, json, read};
use super::http::{Answer, Asked};
use crate::cluster::outpost::nodes::{Disturb, Relieve};
use held::{Book, Refusal, now_s};
use process::Processes;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// What the helper works with.
struct Helper {
    book: Mutex<Book>,
}

/// Serves until it is ended; the exit code.
pub fn run(arguments: &[String]) -> i32 {
    let (mut state, mut rest) = (None, Vec::new());
    for pair in arguments.chunks(2) {
        match pair {
            [name, path] if name == "--state-file" => state = Some(PathBuf::from(path)),
            other => rest.extend_from_slice(other),
        }
    }
    match guarded::Options::parse(&rest) {
        Ok(Options { listen, token }) => guarded::run("disturb", listen, 1, |listener| async {
            let book = Mutex::new(Book::open(Processes::new("/proc"), state));
            serve(listener, token, Arc::new(Helper { book })).await
        }),
        Err(why) => guarded::misused("disturb", &why, "--listen ADDRESS:PORT --token-file FILE [--state-file FILE]"),
    }
}

/// Serves on a listener until the process is told to end; then everything is relieved.
async fn serve(listener: TcpListener, token: String, helper: Arc<Helper>) -> i32 {
    let end = Arc::new(Notify::new());
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let Ok(mut signals) = signal(kind) else { return 1 };
        let end = end.clone();
        tokio::spawn(async move {
            signals.recv().await;
            end.notify_one();
        });
    }
    let of = helper.clone();
    tokio::spawn(guarded::accept(listener, token, move |asked| {
        let helper = of.clone();
        async move { answer(&helper, asked).await }
    }));
    tokio::spawn(watch(helper.clone()));
    end.notified().await;
    let ended = on_book(&helper, Book::end_all).await;
    report(&ended);
    i32::from(ended.is_err())
}

/// Ends what has lasted for its time, and kills what has come back.
async fn watch(helper: Arc<Helper>) {
    loop {
        report(&on_book(&helper, |book| book.end_old(now_s())).await);
        report(&on_book(&helper, |book| book.kill_again()).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn report(result: &Result<(), Refusal>) {
    if let Err(Refusal::NoTarget(why) | Refusal::Missing(why) | Refusal::Failed(why)) = result {
        eprintln!("testbed disturb: {why}");
    }
}

/// Works on the book where it may take its time.
async fn on_book<R: Send + 'static>(
    helper: &Arc<Helper>,
    work: impl FnOnce(&mut Book) -> Result<R, Refusal> + Send + 'static,
) -> Result<R, Refusal> {
    let helper = helper.clone();
    let done = tokio::task::spawn_blocking(move || work(&mut helper.book.lock().unwrap_or_else(PoisonError::into_inner))).await;
    done.unwrap_or_else(|error| Err(Refusal::Failed(error.to_string())))
}

async fn answer(helper: &Arc<Helper>, asked: Asked) -> Answer {
    let done = match asked.path.as_str() {
        "/v1/disturb" => match read::<Disturb>(&asked) {
            Ok(question) => {
                on_book(helper, move |book| {
                    book.begin(&question, now_s())?;
                    Ok(book.names())
                })
                .await
            }
            Err(answer) => return answer,
        },
        "/v1/relieve" => match read::<Relieve>(&asked) {
            Ok(question) => {
                on_book(helper, move |book| {
                    match &question.name {
                        Some(name) => book.end(name)?,
                        None => book.end_all()?,
                    }
                    Ok(book.names())
                })
                .await
            }
            Err(answer) => return answer,
        },
        "/v1/held" => on_book(helper, |book| Ok(book.names())).await,
        _ => return Answer::error(404, "404 page not found"),
    };
    match done {
        Ok(names) => json(&names),
        Err(Refusal::NoTarget(why)) => Answer::error(410, &why),
        Err(Refusal::Missing(why)) => Answer::error(501, &why),
        Err(Refusal::Failed(why)) => Answer::error(500, &why),
    }
}
