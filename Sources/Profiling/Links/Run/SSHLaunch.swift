import Foundation
import Synchronization

/// Starts the nodes of a run over ssh: the same program on every host, the token on its standard input.
package struct SSHLaunch: Sendable {
  package let hosts: [String]
  /// The program that starts a command on a host, and its arguments: `ssh -o BatchMode=yes`.
  package let command: [String]
  /// What `sextant` is called on the hosts.
  package let remoteProgram: String
  /// Arguments that every node gets beside its place.
  package let nodeArguments: [String]

  /// - Precondition: the command is not empty.
  package init(hosts: [String], command: [String], remoteProgram: String, nodeArguments: [String]) {
    precondition(!command.isEmpty, "a command has a program")
    self.hosts = hosts
    self.command = command
    self.remoteProgram = remoteProgram
    self.nodeArguments = nodeArguments
  }

  /// The arguments of the program of ``command`` for one host, its own come first.
  ///
  /// ssh hands what follows the host to a shell, so it is quoted.
  func arguments(rank: Int, rendezvous: Endpoint) -> [String] {
    let remote =
      [
        remoteProgram, "profile", "links", "--rank", "\(rank)", "--size", "\(hosts.count)", "--rendezvous",
        "\(rendezvous)", "--node-name", hosts[rank], "--token-file", "-", "--no-coordinate",
      ] + nodeArguments
    return Array(command.dropFirst()) + [hosts[rank], remote.map(Self.quoted).joined(separator: " ")]
  }

  private static func quoted(_ word: String) -> String {
    "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }

  /// The started processes.
  final class Processes: Sendable {
    fileprivate let processes = Mutex<[Process]>([])

    /// Gives them a second to end by themselves, then a second after SIGTERM, then ends them.
    func end() {
      wait(seconds: 1)
      processes.withLock { for process in $0 where process.isRunning { process.terminate() } }
      wait(seconds: 1)
      processes.withLock { for process in $0 where process.isRunning { kill(process.processIdentifier, SIGKILL) } }
    }

    private func wait(seconds: Double) {
      let end = ContinuousClock.now + .seconds(seconds)
      while ContinuousClock.now < end, processes.withLock({ $0.contains(where: \.isRunning) }) { usleep(20_000) }
    }
  }

  /// Starts all; a process that ends with an error before its node came is told to `failure`.
  func start(
    at rendezvous: Endpoint, token: RunToken, failure: @escaping @Sendable (Int, String) -> Void
  ) -> Processes {
    let started = Processes()
    for rank in hosts.indices {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = [command[0]] + arguments(rank: rank, rendezvous: rendezvous)
      let input = Pipe(), errors = Pipe()
      process.standardInput = input
      process.standardOutput = FileHandle.nullDevice
      process.standardError = errors
      process.terminationHandler = { ended in
        guard ended.terminationStatus != 0 else { return }
        // What it said last; no more than a line is kept of it.
        let said = available(errors.fileHandleForReading.fileDescriptor).suffix(2_000)
        let line = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline).last.map {
          ": \($0.prefix(200))"
        }
        failure(rank, "its launch ended with exit code \(ended.terminationStatus)\(line ?? "")")
      }
      do {
        try process.run()
      } catch {
        failure(rank, "cannot start \(command[0])")
        continue
      }
      started.processes.withLock { $0.append(process) }
      // Who has ended already takes no token; why is told when its end is noticed.
      try? input.fileHandleForWriting.write(contentsOf: Data((token.text + "\n").utf8))
      try? input.fileHandleForWriting.close()
    }
    return started
  }
}

/// What is in a pipe now. Others may hold its other end open and say nothing, such as ssh's shared connection, so this
/// does not wait for more.
private func available(_ descriptor: CInt) -> [UInt8] {
  _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  let count = read(descriptor, &buffer, buffer.count)
  return Array(buffer.prefix(max(0, count)))
}
