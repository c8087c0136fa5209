import ArgumentParser
import Costing
import Documents
import Foundation
import JSONText
import Profiling
import Sextant

/// What the process ends with; the same for every subcommand.
enum ExitStatus: Int32 {
  case failure = 1
  case infeasible = 2
  case disagreement = 3
  /// A part was measured and written; the rest is named.
  case partial = 4
  case usage = 64
  case badInput = 65
  case interrupted = 130

  var code: ExitCode { ExitCode(rawValue) }
}

/// Runs a subcommand's body and turns its errors into one line on standard error and an exit code.
func reportingErrors(_ body: () throws -> Void) throws {
  do {
    try body()
  } catch let error as SextantError {
    let sentence = error.asFlags
    switch error.kind {
    case .input: throw complaint(sentence, .badInput)
    case .argument: throw ValidationError(sentence)
    case .file, .links, .unsupported: throw complaint(sentence, .failure)
    case .interrupted: throw complaint(sentence, .interrupted)
    }
  } catch let error as DocumentError {
    throw complaint("\(error)", .badInput)
  } catch let error as CostModel.Refusal {
    throw complaint("\(error)", .badInput)
  } catch let error as LinkRunError {
    switch error {
    case .launcher, .badAddress, .noInterface: throw ValidationError("\(error)")
    case .interrupted: throw complaint("\(error)", .interrupted)
    case .badToken, .file: throw complaint("\(error)", .badInput)
    case .network, .coordinator: throw complaint("\(error)", .failure)
    }
  } catch let error as FileError {
    throw complaint("\(error)", .failure)
  }
}

extension SextantError {
  /// The sentence, with the flag in place of the argument that it stands for: `--global-batch` for `globalBatch`.
  fileprivate var asFlags: String {
    guard source.isEmpty, !location.isEmpty else { return description }
    let flag = location.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
    return "--\(flag)\(description.dropFirst(location.count))"
  }
}

/// Prints one line on standard error; the exit code to throw.
func complaint(_ sentence: String, _ status: ExitStatus) -> ExitCode {
  // There is nobody to tell that this was not written.
  StandardStreams.write("sextant: \(sentence.oneLine)\n", to: STDERR_FILENO)
  return status.code
}

/// Writes text to standard output; a reader that has gone away or a full disk is a failure, not a crash.
func emit(_ text: String) throws {
  guard StandardStreams.write(text, to: STDOUT_FILENO) else {
    throw complaint("standard output: cannot write", .failure)
  }
}
