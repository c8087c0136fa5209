package import Documents
import JSONText
import Training

extension TimedRun {
  /// The iteration, or as much of a round as was simulated, as a trace in Chrome's JSON format, which Perfetto opens: a process for each simulated rank, a track for
  /// each of its streams, a counter of its memory, and one of the bytes under way on all links.
  ///
  /// One event a line. Times are microseconds, to the nanosecond; steps that take none are left out. In an iteration of few
  /// passes each shows its pieces and the collectives of its tensor group, as shares of the whole.
  ///
  /// - Parameter stageMemory: what is predicted of each stage, whose states are the floor of its memory counter.
  package func trace(stageMemory: [Prediction.StageMemory]) -> [UInt8] {
    var trace = TraceText()
    for (place, track) in tracks.enumerated() {
      trace.name(process: place, processName(place, track), sortIndex: place)
      for stream in ProgramStep.Stream.allCases where stream.isShown(of: track.program) {
        trace.name(thread: stream.index, of: place, stream.rawValue)
      }
    }
    let links = tracks.count, isDetailed = passCount <= Self.detailedPassLimit
    trace.name(process: links, "links", sortIndex: links)
    for (place, track) in tracks.enumerated() {
      add(track, place, isDetailed: isDetailed, to: &trace)
      addMemory(track, place, stageMemory[track.stage], to: &trace)
    }
    addFlows(process: links, to: &trace)
    return trace.ended()
  }

  private func processName(_ place: Int, _ track: Track) -> String {
    let first = setting.ranks[place], t = setting.mesh.degree(of: .tensor)
    let ranks = t == 1 ? "rank \(first)" : "ranks \(first) to \(first + t - 1)"
    let mesh = setting.mesh
    let others = setting.areReplicasAlike ? mesh.replicaCount * mesh.degree(of: .worker) - 1 : 0
    return "stage \(track.stage), \(ranks)" + (others > 0 ? ", for \(others + 1) replicas" : "")
  }

  /// Passes whose pieces are shown, at most: some ten megabytes of them.
  private static let detailedPassLimit = 10_000

  private var passCount: Int {
    tracks.reduce(0) { count, track in
      count + track.program.steps.count { if case .compute(.pass) = $0.operation { true } else { false } }
    }
  }

  private func add(_ track: Track, _ place: Int, isDetailed: Bool, to trace: inout TraceText) {
    // Messages of one stream arrive one after the other; each is shown from when the one before had arrived.
    var arrived = 0.0
    for slice in track.slices {
      let step = track.program.steps[slice.step]
      var start = slice.startSeconds
      if case .receive = step.operation {
        start = max(slice.metSeconds, arrived)
        arrived = slice.endSeconds
      }
      guard slice.endSeconds > start else { continue }
      trace.add(
        step.traceName, category: step.traceCategory, process: place, thread: step.stream.index,
        from: start, to: slice.endSeconds)
      if isDetailed, case .compute(.pass(let part, let pass)) = step.operation {
        var from = start
        for (inner, share) in setting.steps(of: part, pass, stage: track.stage) {
          let to = min(slice.endSeconds, from + share * (slice.endSeconds - start))
          let (name, category) = inner.words
          trace.add(
            name, category: category, process: place, thread: step.stream.index, from: from, to: to)
          from = to
        }
      }
    }
  }

  private func addMemory(
    _ track: Track, _ place: Int, _ memory: Prediction.StageMemory, to trace: inout TraceText
  ) {
    let states = memory.weightBytes + memory.gradientBytes + memory.optimizerBytes
    trace.count("memory", process: place, at: 0, [("states", states), ("activations", 0)])
    // Within a pass bytes only grow or only fall: its last sample is enough.
    var pending: Held?
    func emit(_ held: Held) {
      trace.count(
        "memory", process: place, at: held.seconds, [("states", states), ("activations", held.activationBytes)])
    }
    for held in heldActivations(of: track) {
      if let pending, pending.pass != held.pass || held.pass == nil { emit(pending) }
      pending = held
    }
    if let pending { emit(pending) }
  }

  private func addFlows(process: Int, to trace: inout TraceText) {
    let changes = (flows.map { ($0.startSeconds, $0.byteCount) } + flows.map { ($0.endSeconds, -$0.byteCount) })
      .sorted { ($0.0, $0.1) < ($1.0, $1.1) }
    var bytes = 0
    for (index, change) in changes.enumerated() {
      bytes += change.1
      if index + 1 < changes.count, changes[index + 1].0 == change.0 { continue }
      trace.count("bytes in flight", process: process, at: change.0, [("bytes", bytes)])
    }
  }
}

extension ProgramStep {
  /// A few words: `layer 3 forward, micro-batch 5`.
  fileprivate var traceName: String {
    switch operation {
    case .compute(.pass(let part, let pass)):
      "\(part) \(pass.pass.words), micro-batch \(pass.microBatchIndex)"
    case .compute(let computation): "\(computation)"
    case .collective(let it): "\(it.kind.rawValue) of \(it.operand)"
    case .send(let it): "send \(it.source) to rank \(it.peer)"
    case .receive(let it): "receive \(it.target) from rank \(it.peer)"
    case .upload(let it): "\(it.part) from the host"
    case .offload(let it): "\(it.part) to the host"
    }
  }

  fileprivate var traceCategory: String {
    switch operation {
    case .compute(.pass(_, let pass)): pass.pass.words
    case .compute(.evaluatePart): "forward"
    case .compute: "update"
    case .collective(let it): it.traffic.rawValue
    case .send, .receive: TrafficKind.pipeline.rawValue
    case .upload, .offload: "host"
    }
  }
}

extension PipelineStep.Pass {
  /// What a trace calls it.
  fileprivate var words: String {
    switch self {
    case .forward: "forward"
    case .backward: "backward"
    case .inputGradient: "input gradient"
    case .weightGradient: "weight gradient"
    }
  }
}

extension ProgramStep.Stream {
  /// Whether a rank's trace has a track of it: those to and from the host, between workers, of tokens and
  /// of gradients by themselves, where there is anything on them.
  fileprivate func isShown(of program: RankProgram) -> Bool {
    switch self {
    case .compute, .tensor, .pipeline, .data: true
    case .context, .experts, .upload, .offload, .outer, .gradients: program.steps.contains { $0.stream == self }
    }
  }
}

extension Recipe.Step {
  /// Name and category in a trace.
  fileprivate var words: (name: String, category: String) {
    switch self {
    case .piece(let piece, _): (piece.rawValue, "piece")
    case .collective(let it): ("\(it.kind.rawValue) of \(it.operand)", it.traffic.rawValue)
    }
  }
}

/// The lines of a trace.
private struct TraceText {
  private var bytes = Array("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n".utf8)
  private var isFirst = true

  /// Texts that occur again and again, as JSON.
  private var known: [String: String] = [:]

  mutating func name(process: Int, _ name: String, sortIndex: Int) {
    line("{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":\(process),\"args\":{\"name\":\(quoted(name))}}")
    line("{\"ph\":\"M\",\"name\":\"process_sort_index\",\"pid\":\(process),\"args\":{\"sort_index\":\(sortIndex)}}")
  }

  mutating func name(thread: Int, of process: Int, _ name: String) {
    line(
      "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":\(process),\"tid\":\(thread),\"args\":{\"name\":\(quoted(name))}}"
    )
  }

  mutating func add(
    _ name: String, category: String, process: Int, thread: Int, from start: Double, to end: Double
  ) {
    let first = nanoseconds(start)
    line(
      "{\"ph\":\"X\",\"name\":\(quoted(name)),\"cat\":\(quoted(category)),\"pid\":\(process),\"tid\":\(thread),"
        + "\"ts\":\(microseconds(first)),\"dur\":\(microseconds(max(0, nanoseconds(end) - first)))}")
  }

  mutating func count(_ name: String, process: Int, at seconds: Double, _ values: [(name: String, value: Int)]) {
    let args = values.map { "\(quoted($0.name)):\($0.value)" }.joined(separator: ",")
    line(
      "{\"ph\":\"C\",\"name\":\(quoted(name)),\"pid\":\(process),\"ts\":\(microseconds(nanoseconds(seconds))),"
        + "\"args\":{\(args)}}")
  }

  mutating func ended() -> [UInt8] {
    bytes.append(contentsOf: "\n]}\n".utf8)
    return bytes
  }

  private mutating func line(_ text: String) {
    if !isFirst { bytes.append(contentsOf: ",\n".utf8) }
    isFirst = false
    bytes.append(contentsOf: text.utf8)
  }

  private mutating func quoted(_ text: String) -> String {
    if let known = known[text] { return known }
    let quoted = JSON.string(text).text(style: .compact)
    known[text] = quoted
    return quoted
  }

  private func nanoseconds(_ seconds: Double) -> Int { Int(min(seconds * 1e9, 9e18).rounded()) }

  /// With three decimals, exactly.
  private func microseconds(_ nanoseconds: Int) -> String {
    let rest = nanoseconds % 1000
    return rest == 0 ? "\(nanoseconds / 1000)" : "\(nanoseconds / 1000)." + "\(1000 + rest)".dropFirst()
  }
}
