import Documents

/// What proved the strategies that were completed.
struct ProofReport {
  let certificate: Certificate

  var text: String {
    guard let own = certificate.proofs.first(where: { $0.scoreSeconds == certificate.scoreSeconds }) else { return "" }
    var table = Table(header: ["", "strategies"], leftColumns: [0])
    for split in Certificate.Proof.Split.allCases {
      let count = certificate.proofs.count { $0.split == split }
      if count > 0 { table.add(["layers: \(Self.words(split))", Format.count(count)]) }
    }
    for order in Certificate.Proof.Order.allCases {
      let count = certificate.proofs.count { $0.order == order }
      if count > 0 { table.add(["nodes: \(Self.words(order))", Format.count(count)]) }
    }
    return "\nWhat proved the completed strategies\n" + table.text
      + "This plan: layers \(Self.words(own.split)), nodes \(Self.words(own.order)), "
      + (own.gap > 0 ? "within \(Format.percent(own.gap)) of the strategy's own bound\n" : "none better\n")
  }

  private static func words(_ split: Certificate.Proof.Split) -> String {
    switch split {
    case .single: "one split only"
    case .exhausted: "all splits looked at or closed by bound"
    case .integerPrograms: "closed by integer programs"
    case .unproven: "not proven"
    }
  }

  private static func words(_ order: Certificate.Proof.Order) -> String {
    switch order {
    case .alike: "all alike"
    case .unproven: "not proven"
    case .bound: "as fast as the bound of all orders"
    case .integerPrograms: "best ring proven by integer programs"
    }
  }
}
