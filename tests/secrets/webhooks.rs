//! The webhooks that are told what the views show: one that takes everything, and one that refuses and quotes the request.

use std::path::Path;
use std::sync::{Arc, Mutex};

use evenkeel::model::secret::SecretBytes;
use evenkeel::model::time::Timestamp;
use evenkeel::model::told::Told;
use evenkeel::model::view::View;
use evenkeel::notification::{self, End, Format, Outside, Place, Receiver, Sender, Wish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use crate::canaries::canary;

/// The secrets of the webhooks themselves: in the URL and in a header.
pub const CANARIES: [usize; 2] = [36, 37];

/// How long a view is news.
const NEWS: Duration = Duration::from_millis(5);
/// How long nothing must come until everything has.
const QUIET: u32 = 200;

/// What is outside, and how much waits to be sent.
#[derive(Default)]
struct World {
    waiting: Mutex<std::collections::BTreeMap<String, usize>>,
}

impl Outside for World {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn read(&self, _: &Path) -> Result<Vec<u8>, String> {
        Ok(format!("Authorization: Bearer {}", canary(CANARIES[1])).into_bytes())
    }

    /// Nothing was told, but this is no first start: everything is news.
    fn load(&self) -> Option<Told> {
        Some(["takes", "refuses"].map(|name| (name.to_string(), Default::default())).into())
    }

    fn save(&self, _: &Told) -> Result<(), String> {
        Ok(())
    }

    fn ended(&self, _: &str, _: End) {}

    fn queued(&self, receiver: &str, count: usize) {
        self.waiting.lock().unwrap().insert(receiver.into(), count);
    }
}

/// What the webhooks were sent: the bodies, and the heads of the requests.
pub fn told_of(views: Vec<Arc<View>>) -> (String, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<(String, String)>>::default();
        let heard = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, heard.clone()));
            }
        });
        let receiver = |name: &str, format| Receiver {
            name: name.into(),
            place: Place::Url(SecretBytes::new(format!("http://{host}/{name}/{}", canary(CANARIES[0])).into_bytes())),
            headers_file: Some("/headers".into()),
            format,
            wish: Wish::All,
        };
        let receivers = vec![receiver("takes", Format::Json), receiver("refuses", Format::Slack)];
        let world = Arc::new(World::default());
        let (sender, watched) = watch::channel(views[0].clone());
        let from = Sender { instance: "default".into(), host: "box".into() };
        let telling = tokio::spawn(notification::run(receivers, from, watched, world.clone()));
        for view in views {
            sender.send_replace(view);
            sleep(NEWS).await;
            for _ in 0..QUIET {
                if world.waiting.lock().unwrap().values().all(|count| *count == 0) {
                    break;
                }
                sleep(NEWS).await;
            }
        }
        drop(sender);
        telling.await.unwrap();
        let asked = asked.lock().unwrap();
        asked.clone()
    })
}

/// Takes a request in; the one who refuses quotes it.
async fn answer(mut stream: TcpStream, asked: Arc<Mutex<(String, String)>>) {
    let mut read = Vec::new();
    let (head, body) = loop {
        let mut part = vec![0; 16 << 10];
        let Ok(length @ 1..) = stream.read(&mut part).await else { return };
        read.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let (status, words) = match head.contains("/refuses/") {
        true => ("400 Bad Request", head.replace("\r\n", " ")),
        false => ("200 OK", "ok".into()),
    };
    {
        let mut asked = asked.lock().unwrap();
        asked.0.push_str(&body);
        asked.1.push_str(&head);
    }
    let _ = stream
        .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{words}", words.len()).as_bytes())
        .await;
}
