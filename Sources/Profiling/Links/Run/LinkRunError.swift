/// Why a run of `sextant profile links` cannot start or go on at all; what befalls single nodes is in the result.
package enum LinkRunError: Error, Equatable, CustomStringConvertible {
  /// The launcher's environment or the flags contradict each other or say too little.
  case launcher(String)
  case badToken(String)
  case badAddress(String)
  case noInterface(String)
  case file(String, String)
  /// An operation of the network failed.
  case network(String)
  /// The coordinator was not reached, or refused this node.
  case coordinator(String)
  case interrupted

  static func noAddress(in file: RunFile) -> LinkRunError {
    .launcher("\(file.path) holds a token and no address: give --rendezvous HOST:PORT of rank 0")
  }

  package var description: String {
    switch self {
    case .launcher(let reason): reason
    case .badToken(let reason): "the run's token \(reason)"
    case .badAddress(let text): "expected an address such as node-0:29400, found \"\(text)\""
    case .noInterface(let name): "no interface or address of this machine is called \"\(name)\""
    case .file(let path, let reason): "\(path): \(reason)"
    case .network(let reason): reason
    case .coordinator(let reason): reason
    case .interrupted: "interrupted"
    }
  }
}
