import Glibc

/// Why one pair of nodes could not be measured; the rest of the run goes on.
enum LinkFailure: Error, Equatable, CustomStringConvertible {
  /// The peer's address does not answer.
  case unreachable(String)
  /// Nothing moved for a given number of seconds.
  case stalled(Double)
  /// The peer closed the connection.
  case closed
  /// The pair's time was up.
  case overdue
  /// The run was called off.
  case cancelled
  /// The peer broke the protocol.
  case protocolBroken(WireError)
  /// A system call failed.
  case system(String, CInt)

  var description: String {
    switch self {
    case .unreachable(let reason): "unreachable: \(reason)"
    case .stalled(let seconds): "stalled: no byte moved for \(short(seconds)) s"
    case .closed: "the peer closed the connection"
    case .overdue: "the pair's time was up"
    case .cancelled: "called off"
    case .protocolBroken(let error): "the peer \(error)"
    case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
    }
  }
}

/// A number of seconds without digits that say nothing: `5`, `0.25`.
func short(_ seconds: Double) -> String {
  seconds == seconds.rounded() && abs(seconds) < 1e9 ? String(Int(seconds)) : String(seconds)
}
