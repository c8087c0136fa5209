import Foundation
import Testing

/// Every way in which a run is asked to stop, of a run of `profile links` that waits for a node that never comes.
@Suite struct StopTests {
  private let measuring =
    "exec '\(Workspace.executable)' profile links --rank 0 --size 2 --interface 127.0.0.1 --rendezvous 127.0.0.1:0 "
    + "--join-timeout 50"
  private let token = "SEXTANT_TOKEN=0123456789abcdef0123456789abcdef; export SEXTANT_TOKEN; "

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
  func aSignalEndsTheRunWithWhatThereIs(signal: CInt) async throws {
    let run = try await Workspace().shell(token + measuring) { process in
      wait(for: process, toHandle: signal)
      kill(process, signal)
    }
    #expect(run.exitCode == 130, "\(run.errors)")
    #expect(run.errors.contains("interrupted"))
  }

  /// `timeout` signals the command and then its group.
  @Test func oneRequestThatArrivesTwiceIsOne() async throws {
    let run = try await Workspace().shell(token + measuring) { process in
      wait(for: process, toHandle: SIGTERM)
      kill(process, SIGTERM)
      kill(process, SIGTERM)
      kill(process, SIGHUP)
    }
    #expect(run.exitCode == 130, "\(run.errors)")
  }

  /// The plan is written, and nobody reads what is printed: whoever asks again means it.
  @Test func aSecondSignalEndsTheProcess() async throws {
    let folder = try Workspace()
    let plan = folder.file("plan.json")
    let run = try await folder.shell(
      "mkfifo full; exec 3<>full; dd if=/dev/zero bs=65536 count=1 >&3 2>/dev/null; exec '\(Workspace.executable)' plan "
        + "--cluster dgx-a100-1 --model gpt2 --global-batch 16 --output plan.json >&3"
    ) { process in
      while kill(process, 0) == 0, !FileManager.default.fileExists(atPath: plan) { usleep(5_000) }
      while kill(process, 0) == 0 {
        kill(process, SIGTERM)
        usleep(700_000)
      }
    }
    #expect(run.exitCode == 128 + SIGTERM, "\(run.errors)")
  }

  @Test(arguments: ["nohup ", "trap '' HUP; "])
  func whoIgnoresTheTerminalsEndGoesOn(prefix: String) async throws {
    let run = try await Workspace().shell(
      token + (prefix.hasPrefix("nohup") ? measuring.replacing("exec ", with: "exec nohup ") : prefix + measuring)
    ) { process in
      wait(for: process, toHandle: SIGTERM)
      kill(process, SIGHUP)
      // A signal that is ignored changes nothing, whenever it is looked at.
      #expect(isIgnored(SIGHUP, by: process))
      kill(process, SIGTERM)
    }
    #expect(run.exitCode == 130, "\(run.errors)")
  }

  /// As a script's background job, which Ctrl-C is not meant for.
  @Test func anIgnoredInterruptStaysIgnored() async throws {
    let run = try await Workspace().shell(token + "trap '' INT; " + measuring) { process in
      wait(for: process, toHandle: SIGTERM)
      #expect(isIgnored(SIGINT, by: process))
      kill(process, SIGTERM)
    }
    #expect(run.exitCode == 130, "\(run.errors)")
  }
}

/// Waits until a process has a handler for a signal, as long as it lives.
func wait(for process: pid_t, toHandle signal: CInt) {
  while kill(process, 0) == 0, !has(process, signal, in: "SigCgt") { usleep(5_000) }
}

private func isIgnored(_ signal: CInt, by process: pid_t) -> Bool { has(process, signal, in: "SigIgn") }

/// Whether a signal is in one of the sets that Linux lists of a process.
private func has(_ process: pid_t, _ signal: CInt, in set: String) -> Bool {
  let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("\(set):") }
  let mask = line.flatMap { UInt64($0.split(whereSeparator: \.isWhitespace)[1], radix: 16) } ?? 0
  return mask & (1 << UInt64(signal - 1)) != 0
}
