import JSONText

extension MeasuredCollective {
  /// Reads timed collectives: records, one a line, or a links document (`sextant.links/1`), whose collectives are taken
  /// to be of a given device.
  ///
  /// - Throws: `DocumentError` where the file cannot be read, or has no such record.
  package static func timings(
    contentsOf path: String, device: String
  ) throws(DocumentError) -> [Result<MeasuredCollective, LeftOutRecord>] {
    let bytes: [UInt8]
    do {
      bytes = try readFile(at: path, maximumByteCount: 1 << 30)
    } catch {
      throw DocumentError(source: path, location: "", expected: error.reason, found: nil)
    }
    let start = String(decoding: bytes.prefix(1_000), as: UTF8.self)
    guard start.contains("\"\(DocumentSchema.links.rawValue)\"") else { return try file(path).lines }
    return timings(of: try MeasuredLinks(contentsOf: path), source: path, device: device)
  }

  /// The collectives of a links document, a timing for every size.
  ///
  /// A node has as many devices as the most ranks that any of them had on one. Where fewer took part on several nodes,
  /// the others were idle, which is not how groups are priced: those are left out.
  ///
  /// - Parameter source: what the document is called.
  package static func timings(
    of links: MeasuredLinks, source: String, device: String
  ) -> [Result<MeasuredCollective, LeftOutRecord>] {
    let devices = links.collectives.compactMap(\.ranksPerNode).max() ?? 1
    var timings: [Result<MeasuredCollective, LeftOutRecord>] = []
    for (index, one) in links.collectives.enumerated() {
      let nodes = one.nodeCount ?? 1, points = one.points.filter { $0.messageBytes > 0 }
      let kind = Kind(rawValue: one.kind.rawValue)
      let reason: String? =
        if kind == nil {
          "\(one.kind.rawValue) is not fitted to"
        } else if one.ranksPerNode == nil {
          "how its ranks are spread over nodes is not known, or uneven"
        } else if nodes > 1, one.ranksPerNode != devices {
          "the other devices of its nodes were idle"
        } else if points.isEmpty {
          "it has a rate and no times"
        } else if devices > 1_024 || nodes > ClusterDescription.largestDeviceCount / devices {
          "it had more devices than can be described"
        } else {
          nil
        }
      guard let kind, reason == nil else {
        timings.append(
          .failure(
            LeftOutRecord(
              id: nil, source: "\(source): /collectives/\(index)", reason: reason ?? "it is not fitted to",
              isFault: false)))
        continue
      }
      let origin = one.originIndex < links.origins.count ? links.origins[one.originIndex].source : links.name
      timings += points.map {
        .success(
          MeasuredCollective(
            source: origin, device: device, kind: kind, rankCount: one.rankCount, nodeCount: nodes,
            devicesPerNode: devices, byteCount: $0.messageBytes, seconds: $0.seconds))
      }
    }
    return timings
  }

  private init(
    source: String, device: String, kind: Kind, rankCount: Int, nodeCount: Int, devicesPerNode: Int, byteCount: Int,
    seconds: Double
  ) {
    self.source = source
    self.device = device
    self.kind = kind
    self.rankCount = rankCount
    self.nodeCount = nodeCount
    self.devicesPerNode = devicesPerNode
    self.byteCount = byteCount
    self.seconds = seconds
    intraBytesPerSecondPerDevice = nil
    interBytesPerSecondPerNode = nil
  }
}

extension MeasuredLinks.CollectiveTimes {
  /// Nil where it is not known, or differs.
  fileprivate var ranksPerNode: Int? {
    nodeCount.flatMap { rankCount % $0 == 0 ? rankCount / $0 : nil }
  }
}
