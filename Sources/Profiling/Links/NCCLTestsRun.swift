package import Documents
import Foundation

/// Drives the site's own nccl-tests over pairs and groups of hosts, through the
/// site's launcher, and reads what they print.
///
/// In each round of disjoint pairs all runs go on at once, or one after the other. `sendrecv_perf` of one rank on each
/// of two hosts gives their link; `all_reduce_perf` over all hosts, if asked for, the collective of that group.
package struct NCCLTestsRun: Sendable {
  package let hosts: [String]
  /// How to start it: words in which `{hosts}` stands for the hosts with commas and `{ranks}` for how many there are.
  package let launcher: [String]
  /// The program for pairs and its arguments.
  package let pairCommand: [String]
  /// The program for all hosts together; nil for none.
  package let groupCommand: [String]?
  /// The most a run may take.
  package let timeLimitSeconds: Double
  package let isLoaded: Bool

  /// - Precondition: launcher and pair command are not both empty.
  package init(
    hosts: [String], launcher: [String], pairCommand: [String], groupCommand: [String]?, timeLimitSeconds: Double,
    isLoaded: Bool
  ) {
    precondition(!(launcher + pairCommand).isEmpty, "a command has a program")
    self.hosts = hosts
    self.launcher = launcher
    self.pairCommand = pairCommand
    self.groupCommand = groupCommand
    self.timeLimitSeconds = timeLimitSeconds
    self.isLoaded = isLoaded
  }

  /// What came of it.
  package struct Outcome: Sendable {
    /// Nil when no run gave a figure.
    package let links: MeasuredLinks?
    /// Runs that gave none, in words.
    package let failures: [String]
    package let runCount: Int
    package let wasInterrupted: Bool

    /// How many runs failed, and the first reason.
    package var shortfall: String {
      guard let first = failures.first else { return "\(runCount) runs" }
      return "\(failures.count) of \(runCount) runs gave no figure: \(first)"
    }
  }

  /// The hosts of one run.
  private struct Job {
    let hosts: [String]
    let command: [String]

    var title: String { hosts.count == 2 ? hosts.joined(separator: " ↔ ") : "all \(hosts.count) hosts" }
  }

  /// Runs everything and puts the figures together.
  ///
  /// - Throws: `DocumentError` for more than a document holds.
  package func outcome(
    name: String, isInterrupted: () -> Bool, progress: (Int, Int) -> Void
  ) throws(DocumentError) -> Outcome {
    let rounds = pairRounds(nodeCount: hosts.count).map { round in
      round.map { Job(hosts: [hosts[$0.lower], hosts[$0.upper]], command: pairCommand) }
    }
    var batches = isLoaded ? rounds : rounds.flatMap { $0.map { [$0] } }
    if let groupCommand { batches.append([Job(hosts: hosts, command: groupCommand)]) }
    let total = batches.reduce(0) { $0 + $1.count }
    var findings: [Findings] = []
    var failures: [String] = []
    var done = 0
    for batch in batches where !isInterrupted() {
      progress(done, total)
      for (job, result) in zip(batch, results(of: batch, isInterrupted)) {
        done += 1
        switch result {
        case .success(let found): findings.append(found)
        case .failure(let failure): failures.append("\(job.title): \(failure.reason)")
        }
      }
    }
    let imported = try ImportedLinks(findings, name: name, nodeNames: hosts)
    return Outcome(links: imported.links, failures: failures, runCount: total, wasInterrupted: isInterrupted())
  }

  private struct Failure: Error { let reason: String }

  /// How long a launcher that is asked to end has to end the ranks that it started.
  private static let graceSeconds = 2.0

  /// Runs a batch at once; in the order of the jobs.
  private func results(of jobs: [Job], _ isInterrupted: () -> Bool) -> [Result<Findings, Failure>] {
    let running = jobs.map { job in
      CommandOutput(words: (launcher + job.command).map { expanded($0, job.hosts) })
    }
    let end = ContinuousClock.now + .seconds(timeLimitSeconds)
    while running.contains(where: \.isRunning), ContinuousClock.now < end, !isInterrupted() { usleep(20_000) }
    let areLate = running.map(\.isProgramRunning)
    for run in running { run.askToEnd() }
    let graceEnd = ContinuousClock.now + .seconds(Self.graceSeconds)
    while running.contains(where: \.isProgramRunning), ContinuousClock.now < graceEnd { usleep(20_000) }
    let stop = isInterrupted() ? "was called off" : "did not end within \(short(timeLimitSeconds)) s"
    return jobs.indices.map { index in
      let job = jobs[index], ending = running[index].end()
      if areLate[index] { return .failure(Failure(reason: stop)) }
      let text: String
      switch ending {
      case .stopped: return .failure(Failure(reason: stop))
      case .failed(let reason): return .failure(Failure(reason: reason))
      case .ended(let output): text = output
      }
      do throws(DocumentError) {
        return .success(try findings(in: text, of: job))
      } catch {
        return .failure(Failure(reason: "\(error)"))
      }
    }
  }

  private func findings(in text: String, of job: Job) throws(DocumentError) -> Findings {
    var context = ImportContext()
    context.hosts = job.hosts
    context.nodeCount = job.hosts.count
    // Of a pair every host has one rank; of a group what is printed counts, and follows from the table if it is not.
    context.rankCount = job.hosts.count == 2 ? 2 : nil
    // Old versions do not print which program they are; the command says it.
    context.collective = NCCLTestsReader.kind(ofProgramIn: job.command.joined(separator: " "))
    let source = job.command.joined(separator: " ")
    let output = try ToolText(Array(text.utf8), source: source)
    var found: Findings
    do throws(DocumentError) {
      found = try NCCLTestsReader.findings(of: output, context: context)
    } catch {
      guard job.hosts.count > 2 else { throw error }
      context.rankCount = job.hosts.count
      found = try NCCLTestsReader.findings(of: output, context: context)
    }
    // The tool names hosts as they call themselves; the matrix has the names that the user gave.
    if job.hosts.count == 2, let collective = found.collectives.first, collective.rankCount == 2 {
      found.pairs = NCCLTestsReader.pairs(of: collective, hosts: job.hosts)
      for index in found.collectives.indices { found.collectives[index].hosts = job.hosts }
    }
    return found
  }

  private func expanded(_ word: String, _ hosts: [String]) -> String {
    word.replacingOccurrences(of: "{hosts}", with: hosts.joined(separator: ","))
      .replacingOccurrences(of: "{ranks}", with: "\(hosts.count)")
  }
}
