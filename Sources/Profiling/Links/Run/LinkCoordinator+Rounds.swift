import Foundation

/// One link while it is measured: how far each side is.
struct ActiveLink {
  /// A side's progress.
  enum Progress: Equatable {
    case opening
    case ready
    /// Over, with the reason if it failed.
    case over(String?)
  }

  /// The two ranks; the same twice for the loopback inside a node.
  let ranks: [Int]
  private(set) var progress: [Progress]

  init(_ one: Int, _ other: Int) {
    ranks = one == other ? [one] : [one, other]
    progress = ranks.map { _ in .opening }
  }

  /// The rank at the other end; nil for who has no part in the link.
  func partner(of rank: Int) -> Int? { ranks.contains(rank) ? ranks.first { $0 != rank } ?? rank : nil }

  /// What is over stays over.
  mutating func note(_ next: Progress, of rank: Int) {
    guard let side = ranks.firstIndex(of: rank) else { return }
    if case .over = progress[side] { return }
    progress[side] = next
  }

  var isOpened: Bool { !progress.contains(.opening) }
  var isReady: Bool { progress.allSatisfy { $0 == .ready } }
  var isOver: Bool { progress.allSatisfy { if case .over = $0 { true } else { false } } }
  var failures: [(rank: Int, reason: String)] {
    zip(ranks, progress).compactMap { rank, progress in
      if case .over(let reason?) = progress { (rank, reason) } else { nil }
    }
  }
}

extension LinkCoordinator {
  /// Links that are measured at the same time.
  struct Batch {
    /// Pairs of ranks; a rank with itself is its loopback.
    let links: [(Int, Int)]
    let isEndOfRound: Bool
  }

  /// What is asked for, not known, not tried and between nodes that are there, in the order of the rounds.
  func untriedBatches() -> [Batch] {
    let names = names()
    func isOpen(_ from: Int, _ to: Int) -> Bool {
      guard outcomes[from][to] == .notTried else { return false }
      if order.known.contains(KnownLink(from: names[from], to: names[to])) {
        outcomes[from][to] = .known
        return false
      }
      return nodes[from].isPresent && nodes[from].registration != nil && nodes[to].isPresent
        && nodes[to].registration != nil
    }
    func batches(_ links: [(Int, Int)], isRound: Bool) -> [Batch] {
      guard !links.isEmpty else { return [] }
      if order.isLoaded { return [Batch(links: links, isEndOfRound: isRound)] }
      return links.enumerated().map { index, link in
        Batch(links: [link], isEndOfRound: isRound && index == links.count - 1)
      }
    }
    var all: [Batch] = []
    if order.measuresLoopback {
      all += batches(nodes.indices.filter { isOpen($0, $0) }.map { ($0, $0) }, isRound: false)
    }
    let rounds = pairRounds(nodeCount: order.nodeCount)
    let chosen = sampledRounds(count: min(order.sampledRoundCount ?? rounds.count, rounds.count), of: rounds.count)
    for round in chosen {
      // One direction that is missing costs the pair: both are measured over the same streams.
      let pairs = rounds[round].filter {
        let forth = isOpen($0.lower, $0.upper), back = isOpen($0.upper, $0.lower)
        return forth || back
      }
      all += batches(pairs.map { ($0.lower, $0.upper) }, isRound: true)
    }
    return all
  }

  /// Measures links at the same time: opens the streams of all, then says go to all, then takes the reports.
  func measure(_ links: [(Int, Int)]) {
    active = [:]
    for (from, to) in links where nodes[from].isPresent && nodes[to].isPresent { assign(from, to) }
    let settings = order.settings
    // A side that cannot open its streams says so after its stall time; who says nothing for longer is dropped.
    wait(seconds: settings.stallSeconds + Double(ControlHandler.greetingSeconds) + 2) { $0.isOpened }
    for (number, link) in active.sorted(by: { $0.value.ranks.lexicographicallyPrecedes($1.value.ranks) }) {
      if link.isReady {
        for rank in link.ranks { nodes[rank].connection?.send(.go(link: number)) }
      } else {
        // The ready side of a link that failed on the other would wait for its go.
        for (rank, progress) in zip(link.ranks, link.progress) where progress == .ready {
          nodes[rank].connection?.send(.go(link: 0))
        }
      }
    }
    wait(seconds: settings.pairSeconds + 2) { $0.isOver }
    for link in active.values { conclude(link) }
    active = [:]
  }

  private func assign(_ from: Int, _ to: Int) {
    guard let endpoint = nodes[to].registration?.endpoint else { return }
    var number: UInt64
    repeat { number = .random(in: 1 ... .max) } while active[number] != nil
    active[number] = ActiveLink(from, to)
    func order(_ rank: Int, _ peer: Int, _ role: ControlMessage.Assignment.Role) {
      nodes[rank].connection?.send(
        .assign(
          .init(
            link: number, peerRank: peer, role: role, endpoint: endpoint, keepsBusy: self.order.isLoaded,
            settings: self.order.settings)))
    }
    if from == to {
      order(from, from, .both)
    } else {
      order(to, from, .answerer)
      order(from, to, .caller)
    }
  }

  /// Waits until all active links are as far as asked; then drops the nodes that kept it waiting.
  ///
  /// Once one side of a link has failed, the other has its stall time to notice and some more to say so.
  private func wait(seconds: Double, until isFarEnough: (ActiveLink) -> Bool) {
    let start = ContinuousClock.now
    var failedAt: [UInt64: ContinuousClock.Instant] = [:]
    let graceSeconds = order.settings.stallSeconds + 3
    while !isInterrupted() {
      let now = ContinuousClock.now
      var waitsFor = false
      for (number, link) in active where !isFarEnough(link) {
        if !link.failures.isEmpty, failedAt[number] == nil { failedAt[number] = now }
        let isLate =
          (now - start).inSeconds >= seconds || failedAt[number].map { (now - $0).inSeconds >= graceSeconds } ?? false
        if isLate {
          for (rank, progress) in zip(link.ranks, link.progress) {
            if case .over = progress { continue }
            if progress == .ready, !link.isReady { continue }
            drop(rank, "gave no answer for \(short((now - start).inSeconds.rounded())) s")
          }
        } else {
          waitsFor = true
        }
      }
      if !waitsFor { return }
      hear(withinSeconds: 0.05)
    }
  }

  /// What has not been measured of a link that is over has failed, with the reason that explains most.
  private func conclude(_ link: ActiveLink) {
    let lost = link.ranks.first { nodes[$0].failure != nil }
    let reason: String
    if let lost, let failure = nodes[lost].failure {
      reason = "\(names()[lost]): \(failure)"
    } else if let failure = link.failures.first {
      reason = failure.reason
    } else {
      // Interrupted: it stays untried.
      return
    }
    for from in link.ranks {
      let to = link.partner(of: from) ?? from
      if case .measured = outcomes[from][to] { continue }
      outcomes[from][to] = .failed(reason)
    }
  }
}
