//! Notifications against real receivers on this machine. Time is virtual where nothing but pauses passes, and nobody
//! sleeps to wait for something.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, Once};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout};

use super::*;
use crate::model::declaration::Declaration;
use crate::model::name::{Key, Kind, Name};
use crate::model::secret::SecretBytes;
use crate::model::status::Status;
use crate::model::time::Span;
use crate::model::view::{Detail, ObjectView, OutcomeWord, RevisionView};

/// What must never be seen: the URL's token and the header's.
const CANARY: &str = "c4nary0fTheUrl";
const HEADER: &str = "c4nary0fTheHeader";
/// In real time; virtual time never comes so far.
const SOON: Duration = Duration::from_secs(90);

/// A receiver that answers each request with the next of some answers, then with 200; an empty answer is none at all.
struct Server {
    url: String,
    requests: UnboundedReceiver<String>,
}

impl Server {
    async fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook/{CANARY}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers.iter().map(ToString::to_string).collect::<VecDeque<_>>()));
        let (sender, requests) = unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answers, sender) = (answers.clone(), sender.clone());
                tokio::spawn(answer(stream, answers, sender));
            }
        });
        Self { url, requests }
    }

    /// The next request. Real time: the other end's sockets know no other.
    async fn request(&mut self) -> String {
        self.requests.recv().await.expect("the server lives as long as the test")
    }

    /// The result in the next request's body.
    async fn result(&mut self) -> String {
        let request = self.request().await;
        let body: serde_json::Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        format!("{} {}", body["result"].as_str().unwrap(), body["object"]["name"].as_str().unwrap())
    }
}

async fn answer(mut stream: TcpStream, answers: Arc<Mutex<VecDeque<String>>>, sender: UnboundedSender<String>) {
    let mut read = Vec::new();
    while !is_whole(&read) {
        let mut part = vec![0; 16 << 10];
        let Ok(length @ 1..) = stream.read(&mut part).await else { return };
        read.extend_from_slice(&part[..length]);
    }
    let head = answers.lock().unwrap().pop_front().unwrap_or_else(|| "200 OK".into());
    let _ = sender.send(String::from_utf8(read).unwrap());
    if head.is_empty() {
        return std::future::pending().await;
    }
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\nok").as_bytes()).await;
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

/// What is outside, in memory.
#[derive(Default)]
struct World {
    files: Mutex<BTreeMap<PathBuf, String>>,
    disk: Mutex<Option<Told>>,
    ends: Mutex<Vec<(String, End)>>,
    queued: Mutex<BTreeMap<String, usize>>,
    began: Mutex<Option<Instant>>,
}

impl World {
    fn new() -> Arc<Self> {
        Log::start();
        let world = Self::default();
        *world.began.lock().unwrap() = Some(Instant::now());
        Arc::new(world)
    }

    fn ends(&self) -> Vec<End> {
        self.ends.lock().unwrap().iter().map(|(_, end)| *end).collect()
    }

    /// The same where virtual time has to pass.
    async fn until_later(&self, what: &str, holds: impl Fn(&World) -> bool) {
        let started = std::time::Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < SOON, "not in time: {what}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Waits until a condition holds; others run meanwhile.
    async fn until(&self, what: &str, holds: impl Fn(&World) -> bool) {
        // A deadline of the machine's own clock: virtual time stands still while this goes on.
        let started = std::time::Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < SOON, "not in time: {what}");
            tokio::task::yield_now().await;
        }
    }
}

impl Outside for World {
    fn now(&self) -> Timestamp {
        let began = self.began.lock().unwrap().expect("it has begun");
        Timestamp(0) + Span(began.elapsed().as_millis() as u64)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let files = self.files.lock().unwrap();
        files.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| "does not exist".into())
    }

    fn load(&self) -> Option<Told> {
        self.disk.lock().unwrap().clone()
    }

    fn save(&self, told: &Told) -> Result<(), String> {
        *self.disk.lock().unwrap() = Some(told.clone());
        Ok(())
    }

    fn ended(&self, receiver: &str, end: End) {
        self.ends.lock().unwrap().push((receiver.into(), end));
    }

    fn queued(&self, receiver: &str, count: usize) {
        self.queued.lock().unwrap().insert(receiver.into(), count);
    }
}

fn receiver(name: &str, url: &str) -> Receiver {
    Receiver {
        name: name.into(),
        place: Place::Url(SecretBytes::new(url.into())),
        headers_file: None,
        format: Format::Json,
        wish: Wish::Failures,
    }
}

fn sender() -> Sender {
    Sender { instance: "evenkeel".into(), host: "web1".into() }
}

/// A view in which Deployments have come to these phases: (name, phase, revision).
fn view(deployments: &[(&str, &str, u64)]) -> Arc<View> {
    let mut view = View { passes: 1, ..View::default() };
    view.engine.connected = true;
    for (name, phase, number) in deployments {
        let key = Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new(*name).unwrap());
        let is_bad = *phase == "RolledBack";
        let revision = RevisionView {
            number: *number,
            id: format!("r{number}"),
            image: format!("web:{number}"),
            digest: String::new(),
            commit: None,
            outcome: if is_bad { OutcomeWord::Rejected } else { OutcomeWord::Completed },
            reason: if is_bad { "it crashed".into() } else { String::new() },
            last_log: Vec::new(),
            created_at: Timestamp(0),
            current: !is_bad,
            wanted: true,
            declared: true,
            gates: Vec::new(),
        };
        let object = ObjectView {
            declared: Declaration::of(&1),
            place: String::new(),
            labels: BTreeMap::new(),
            created_at: None,
            status: Status { phase: (*phase).into(), ..Status::default() },
            detail: Detail::Deployment { revisions: vec![revision], paused: false, pinned: false },
        };
        view.objects.insert(key, object);
    }
    Arc::new(view)
}

/// Notifications that run.
struct Running {
    views: watch::Sender<Arc<View>>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Starts with a view of Deployments that are on their way.
    fn start(receivers: Vec<Receiver>, world: &Arc<World>) -> Self {
        Self::start_with(receivers, world, view(&[("web", "Progressing", 2), ("api", "Progressing", 2)]))
    }

    fn start_with(receivers: Vec<Receiver>, world: &Arc<World>, first: Arc<View>) -> Self {
        let (views, seen) = watch::channel(first);
        let task = tokio::spawn(run(receivers, sender(), seen, world.clone()));
        Self { views, task }
    }

    async fn begun(receivers: Vec<Receiver>, world: &Arc<World>) -> Self {
        let names: Vec<String> = receivers.iter().map(|receiver| receiver.name.clone()).collect();
        let running = Self::start(receivers, world);
        let has_memory = |world: &World| {
            world.disk.lock().unwrap().as_ref().is_some_and(|told| names.iter().all(|name| told.contains_key(name)))
        };
        world.until("the memory begins", has_memory).await;
        running
    }

    fn show(&self, deployments: &[(&str, &str, u64)]) {
        self.views.send_replace(view(deployments));
    }
}

thread_local! {
    /// Everything that is logged on this thread, at the lowest level, by whatever crate.
    static LOGGED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Writes it down. It is there for every thread before anything is logged: whether anybody wants a line is found out once, by the
/// first thread that comes to it.
struct Log;

impl Log {
    fn start() {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| tracing::subscriber::set_global_default(Log).expect("no other test sets one"));
    }

    fn text() -> String {
        LOGGED.with_borrow(String::clone)
    }
}

impl tracing::field::Visit for Log {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        LOGGED.with_borrow_mut(|text| text.push_str(&format!("{field}={value:?}\n")));
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut Log);
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut Log);
    }

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Log);
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_failure_is_told_once_and_so_is_the_recovery_also_by_the_next_process() {
    let (world, mut server) = (World::new(), Server::answering(&[]).await);
    let running = Running::begun(vec![receiver("ops", &server.url)], &world).await;
    running.show(&[("web", "RolledBack", 2)]);
    assert_eq!(server.result().await, "RolledBack web");
    let is_kept =
        |world: &World| world.disk.lock().unwrap().as_ref()?["ops"].get("deployment/shop/web").map(|last| last.bad);
    world.until("it is remembered", |world| is_kept(world) == Some(true)).await;
    running.task.abort();
    let again = view(&[("web", "RolledBack", 2)]);
    let running = Running::start_with(vec![receiver("ops", &server.url)], &world, again);
    running.show(&[("web", "Progressing", 3)]);
    running.show(&[("web", "Complete", 3)]);
    assert_eq!(server.result().await, "RolloutComplete web");
    assert!(server.requests.try_recv().is_err());
}

#[tokio::test]
async fn what_was_not_delivered_when_the_process_ended_is_told_by_the_next_one() {
    let (world, mut server) = (World::new(), Server::answering(&[""]).await);
    let running = Running::begun(vec![receiver("ops", &server.url)], &world).await;
    running.show(&[("web", "RolledBack", 2)]);
    assert_eq!(server.result().await, "RolledBack web");
    running.task.abort();
    let _running = Running::start_with(vec![receiver("ops", &server.url)], &world, view(&[("web", "RolledBack", 2)]));
    assert_eq!(server.result().await, "RolledBack web");
    world.until("it is delivered", |world| world.ends() == [End::Delivered]).await;
}

#[tokio::test]
async fn a_lost_memory_tells_nothing_of_what_stands_already() {
    let (world, mut server) = (World::new(), Server::answering(&[]).await);
    let all = Receiver { wish: Wish::All, ..receiver("ops", &server.url) };
    let old = view(&[("web", "RolledBack", 2), ("api", "Complete", 1)]);
    let running = Running::start_with(vec![all], &world, old);
    world.until("the memory begins", |world| world.disk.lock().unwrap().is_some()).await;
    running.show(&[("web", "RolledBack", 2), ("api", "Complete", 2)]);
    assert_eq!(server.result().await, "RolloutComplete api");
    assert!(server.requests.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn trouble_is_tried_again_after_growing_pauses_and_what_comes_later_keeps_its_place() {
    let (world, mut server) = (World::new(), Server::answering(&["503 Unavailable", "503 Unavailable"]).await);
    let running = Running::begun(vec![receiver("ops", &server.url)], &world).await;
    let began = world.now();
    running.show(&[("api", "RolledBack", 2)]);
    assert_eq!(server.result().await, "RolledBack api");
    running.show(&[("api", "RolledBack", 2), ("web", "RolledBack", 2)]);
    for expected in ["RolledBack api", "RolledBack api", "RolledBack web"] {
        assert_eq!(server.result().await, expected);
    }
    world.until("both are delivered", |world| world.ends() == [End::Delivered; 2]).await;
    let took = world.now().since(began);
    assert!(took >= Span::secs(15), "5 s and 10 s of pauses, not {took}");
    world.until("none is left", |world| world.queued.lock().unwrap()["ops"] == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_says_itself_when_it_can_take_more() {
    let answers = ["429 Too Many Requests\r\nRetry-After: 120"];
    let (world, mut server) = (World::new(), Server::answering(&answers).await);
    let running = Running::begun(vec![receiver("ops", &server.url)], &world).await;
    running.show(&[("web", "RolledBack", 2)]);
    server.request().await;
    let asked = world.now();
    server.request().await;
    let pause = world.now().since(asked);
    assert!(pause >= Span::secs(120), "{pause}");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_given_up_after_an_hour_or_when_it_is_refused() {
    let troubles = ["503 Unavailable"; 40];
    let (world, server) = (World::new(), Server::answering(&troubles).await);
    let running = Running::begun(vec![receiver("ops", &server.url)], &world).await;
    let began = world.now();
    running.show(&[("web", "RolledBack", 2)]);
    world.until_later("it is given up", |world| world.ends() == [End::Failed]).await;
    let took = world.now().since(began);
    assert!(took > Span::secs(3_000) && took <= Span::secs(3_700), "{took}");
    running.task.abort();

    for refusal in ["404 Not Found", "301 Moved\r\nLocation: http://192.0.2.1/", "400 Bad Request"] {
        let (world, mut server) = (World::new(), Server::answering(&[refusal]).await);
        let running = Running::begun(vec![receiver("ops", &server.url)], &world).await;
        running.show(&[("web", "RolledBack", 2)]);
        server.request().await;
        world.until("it is given up", |world| world.ends() == [End::Failed]).await;
        assert!(server.requests.try_recv().is_err(), "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_holds_up_no_other_one_and_no_view() {
    let (world, mut hangs, mut well) = (World::new(), Server::answering(&[""; 9]).await, Server::answering(&[]).await);
    let receivers = vec![receiver("hangs", &hangs.url), receiver("well", &well.url)];
    let running = Running::begun(receivers, &world).await;
    running.show(&[("web", "RolledBack", 2)]);
    assert_eq!(hangs.result().await, "RolledBack web");
    running.show(&[("web", "Complete", 3)]);
    assert_eq!(well.result().await, "RolledBack web");
    assert_eq!(well.result().await, "RolloutComplete web");
    // It is asked again after the deadline of the request and the first pause.
    let asked = world.now();
    assert_eq!(hangs.result().await, "RolledBack web");
    assert!(world.now().since(asked) <= Span::secs(16));
    assert_eq!(world.queued.lock().unwrap()["hangs"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_its_oldest_and_counts_them() {
    let (world, mut server) = (World::new(), Server::answering(&["503 Unavailable"]).await);
    let names: Vec<String> = (0..queue::QUEUE_MAX + 3).map(|n| format!("d{n:03}")).collect();
    let bad: Vec<(&str, &str, u64)> = names.iter().map(|name| (name.as_str(), "RolledBack", 2)).collect();
    let running = Running::begun(vec![receiver("ops", &server.url)], &world).await;
    running.show(&bad[..1]);
    assert_eq!(server.result().await, "RolledBack d000");
    running.show(&bad);
    world.until("two are dropped", |world| world.ends() == [End::Dropped; 2]).await;
    assert_eq!(server.result().await, "RolledBack d000", "the one under way keeps its place");
    assert_eq!(server.result().await, "RolledBack d003");
}

#[tokio::test]
async fn neither_the_url_nor_a_header_is_seen_anywhere() {
    let noisy = format!("404 Not Found\r\nX: {CANARY}");
    let (world, mut server) = (World::new(), Server::answering(&[&noisy, "200 OK", "503 Unavailable"]).await);
    let files = BTreeMap::from([
        (PathBuf::from("/url"), format!("{}\n", server.url)),
        (PathBuf::from("/headers"), format!("Authorization: Bearer {HEADER}\n")),
        (PathBuf::from("/bad"), format!("htps://{CANARY}")),
        (PathBuf::from("/closed"), format!("http://127.0.0.1:1/{CANARY}")),
        (PathBuf::from("/tls"), format!("https://127.0.0.1:1/{CANARY}?{HEADER}")),
    ]);
    *world.files.lock().unwrap() = files;
    let at = |name: &str, file: &str| Receiver {
        place: Place::File(file.into()),
        headers_file: Some("/headers".into()),
        ..receiver(name, "")
    };
    let running =
        Running::begun(vec![at("ops", "/url"), at("bad", "/bad"), at("closed", "/closed"), at("tls", "/tls")], &world)
            .await;
    running.show(&[("web", "RolledBack", 2)]);
    let request = server.request().await;
    assert!(request.contains(CANARY) && request.contains(HEADER), "{request}");
    world.until("the refusal is told", |_| Log::text().contains("a notification is refused")).await;
    running.show(&[("web", "Complete", 3)]);
    server.request().await;
    running.show(&[("web", "RolledBack", 4)]);
    server.request().await;
    world.until("each is in trouble", |_| Log::text().matches("tried again").count() >= 4).await;
    let mut seen = format!("{}{:?}{:?}", Log::text(), world.disk.lock().unwrap(), at("ops", "/url"));
    for file in ["/url", "/bad", "/closed", "/tls", "/missing"] {
        let said = timeout(SOON, test(&at("ops", file), &sender(), world.clone())).await.unwrap();
        seen += &format!("{said:?}\n");
    }
    assert!(!seen.contains(CANARY) && !seen.contains(HEADER), "{seen}");
    assert!(seen.contains("127.0.0.1") && seen.contains("/missing, does not exist"), "{seen}");
}

#[tokio::test]
async fn a_test_says_what_came_back() {
    let (world, server) = (World::new(), Server::answering(&["200 OK", "404 Not Found"]).await);
    let ops = receiver("ops", &server.url);
    let host = server.url.trim_start_matches("http://").split('/').next().unwrap();
    assert_eq!(test(&ops, &sender(), world.clone()).await, Ok(format!("{host} answered 200 OK: ok")));
    assert_eq!(test(&ops, &sender(), world.clone()).await, Err(format!("{host} answered 404 Not Found: ok")));
}
