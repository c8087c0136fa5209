import Documents

extension Strategy.ContextExchange {
  /// The word of `--cp-comm-type`.
  var megatronWord: String {
    switch self {
    case .ring: "p2p"
    case .allGather: "allgather"
    case .allToAll: "a2a"
    case .allToAllRing: "a2a+p2p"
    }
  }
}

/// How sequences are divided among ranks.
extension MegatronReader {
  /// The exchange, which `--cp-comm-type` states once for all layers, and the inner degree of two.
  func contextExchange() throws(DocumentError) -> (exchange: Strategy.ContextExchange, innerDegree: Int) {
    guard contextDegree > 1 else { return (.ring, 1) }
    let kinds = Strategy.ContextExchange.allCases
    var exchange = Strategy.ContextExchange.ring
    if let field = flags["--cp-comm-type"] {
      guard field.isString else {
        throw field.conflict("exchanges of divided sequences that differ from layer to layer are not supported yet")
      }
      let word = try field.string()
      guard let known = kinds.first(where: { $0.megatronWord == word }) else {
        throw field.error(expected: "p2p, allgather, a2a or a2a+p2p")
      }
      exchange = known
    }
    guard exchange == .allToAllRing else { return (exchange, 1) }
    let sizes = try flags.required("--hierarchical-context-parallel-sizes")
    var numbers: [Int] = []
    for size in try sizes.array(count: 2...2) { numbers.append(try size.integer(in: 2...contextDegree)) }
    guard numbers[0].multipliedReportingOverflow(by: numbers[1]) == (contextDegree, false) else {
      throw sizes.conflict("\(numbers[0]) × \(numbers[1]) is not the context degree \(contextDegree)")
    }
    return (exchange, numbers[0])
  }
}
