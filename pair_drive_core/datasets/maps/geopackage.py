"""Vector layers in GeoPackage files (OGC 12-128), on sqlite3 alone."""

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from pair_drive_core.datasets.atomic import whole_file
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.maps.sqlite_tables import Cell, Tables, quoted
from pair_drive_core.datasets.maps.well_known_binary import check_wkb

_APPLICATION_ID = 0x47504B47
_USER_VERSION = 10200
_ENVELOPE_DOUBLES = (0, 4, 6, 6, 8)
_LITTLE_ENDIAN = 1
_EPSG = re.compile(r"epsg:\d{4,6}", re.IGNORECASE)
_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)
_SCHEMA = """
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
    description TEXT DEFAULT '', last_change DATETIME NOT NULL, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE,
    srs_id INTEGER);
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL,
    geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
    CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name));
"""
_LAST_CHANGE = "2000-01-01T00:00:00.000Z"
"""A fixed date, so that equal maps are equal files."""


@dataclass(frozen=True)
class Feature:
    """One row of a layer.

    Attributes:
        fid: feature id.
        geometry: in the file's or the asked-for reference system; None in a layer of attributes only.
        columns: the other columns.
    """

    fid: int
    geometry: BaseGeometry | None
    columns: Mapping[str, Cell]


@dataclass(frozen=True)
class Layer:
    """A table to be written.

    Attributes:
        name: table name.
        geometry_type: POLYGON, LINESTRING; None for a table of attributes.
        columns: name and SQL type (INTEGER, REAL, TEXT) of every column but the id and the geometry.
        features: rows; ids ascending make reading order equal writing order.
    """

    name: str
    geometry_type: str | None
    columns: Mapping[str, str]
    features: Sequence[Feature]


class GeoPackage:
    """Reads layers of one file."""

    def __init__(self, path: Path) -> None:
        """Open a file for reading.

        Raises:
            FileNotFoundError: naming the file.
            DatasetError: if it is no GeoPackage.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such map file")
        self._path = path
        try:
            with closing(Tables(path)) as tables:
                rows = tables.rows("gpkg_contents", ("table_name", "data_type"))
                columns = tables.rows("gpkg_geometry_columns", ("table_name", "column_name", "srs_id"))
                systems = tables.rows("gpkg_spatial_ref_sys", ("srs_id", "organization", "organization_coordsys_id"))
        except (sqlite3.Error, ValueError) as error:
            raise DatasetError(path, f"expected a GeoPackage ({error})") from error
        names = {
            srs_id: f"{organization!r}:{number!r}".replace("'", "").lower() for srs_id, organization, number in systems
        }
        self._layers = {str(name): str(kind) for name, kind in rows}
        self._geometry = {str(t): (str(c), names[srs_id]) for t, c, srs_id in columns if srs_id in names}

    def read(self, layer: str, columns: Sequence[str], crs: str | None = None) -> list[Feature]:
        """Read a layer in the order of its feature ids.

        Args:
            layer: table name.
            columns: names of the columns to read.
            crs: reference system to project geometry into; None leaves it as stored.

        Raises:
            DatasetError: naming what is missing and what there is.
        """
        if layer not in self._layers:
            raise DatasetError(self._path, f"the map has no layer {layer!r}; it has {sorted(self._layers)}")
        geometry, stored_crs = self._geometry.get(layer, (None, None))
        try:
            with closing(Tables(self._path)) as tables:
                present = tables.columns(layer)
                absent = [name for name in columns if name not in present]
                if absent:
                    raise DatasetError(self._path, f"layer {layer!r} has no column {absent}; it has {sorted(present)}")
                key = next((name for name, primary in present.items() if primary), "rowid")
                rows = tables.rows(layer, [key, *([geometry] if geometry else []), *columns], key)
            fids = [_fid(row[0]) for row in rows]
        except DatasetError:
            raise
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise DatasetError(self._path, f"layer {layer!r} cannot be read ({error})") from error
        shapes = self._geometries([row[1] for row in rows], layer, stored_crs, crs) if geometry else [None] * len(rows)
        first = 2 if geometry else 1
        return [
            Feature(fid, shape, dict(zip(columns, row[first:], strict=True)))
            for fid, row, shape in zip(fids, rows, shapes, strict=True)
        ]

    def _geometries(
        self, blobs: Sequence[Cell], layer: str, stored_crs: str | None, crs: str | None
    ) -> list[BaseGeometry | None]:
        try:
            parsed = shapely.from_wkb([None if blob is None else _wkb(blob) for blob in blobs])
            shapes = list(shapely.force_2d(parsed))
        except (shapely.errors.GEOSException, struct.error, ValueError, IndexError, TypeError) as error:
            raise DatasetError(self._path, f"layer {layer!r} holds malformed geometry ({error})") from error
        if crs is None or stored_crs is None or stored_crs == crs.lower():
            return shapes
        for name in (stored_crs, crs):
            # pyproj takes whole pipelines and names of files, too.
            if _EPSG.fullmatch(name) is None:
                raise DatasetError(
                    self._path, f"layer {layer!r}: expected a system such as epsg:32619, got {name[:80]!r}"
                )
        try:
            return project(shapes, stored_crs, crs)
        except pyproj.exceptions.ProjError as error:
            raise DatasetError(self._path, f"layer {layer!r} cannot be projected ({error})") from error


def project(shapes: Sequence[BaseGeometry | None], source_crs: str, target_crs: str) -> list[BaseGeometry | None]:
    """Project geometry from one reference system to another; x is east or longitude, y north or latitude."""
    if not len(shapes):
        return []
    transformer = pyproj.Transformer.from_crs(source_crs, target_crs, always_xy=True)
    coordinates = shapely.get_coordinates(shapes)
    x, y = transformer.transform(coordinates[:, 0], coordinates[:, 1])
    coordinates[:, 0], coordinates[:, 1] = x, y
    moved = shapely.set_coordinates(list(shapes), coordinates)
    return list(moved)


def write_geopackage(path: Path, layers: Iterable[Layer], crs: str) -> None:
    """Write a file; it appears only when it is complete.

    Args:
        path: where; an existing file is replaced.
        layers: all of them.
        crs: EPSG code of the geometry, such as "epsg:32619".
    """
    srs_id = int(crs.split(":")[1])
    with whole_file(path) as partial, closing(sqlite3.connect(partial)) as connection:
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_USER_VERSION}")
        connection.executescript(_SCHEMA)
        systems = [
            ("WGS 84 geodetic", 4326, "EPSG", 4326, _WGS84, None),
            ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", None),
            ("Undefined geographic SRS", 0, "NONE", 0, "undefined", None),
        ]
        if srs_id != 4326:
            system = pyproj.CRS.from_user_input(crs)
            systems.append((system.name, srs_id, "EPSG", srs_id, system.to_wkt("WKT1_GDAL"), None))
        connection.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", systems)
        for layer in layers:
            _write_layer(connection, layer, srs_id)
        connection.commit()


def _write_layer(connection: sqlite3.Connection, layer: Layer, srs_id: int) -> None:
    columns = [f"{quoted(name)} {kind}" for name, kind in layer.columns.items()]
    geometry = [f"geom {layer.geometry_type}"] if layer.geometry_type else []
    table = quoted(layer.name)
    body = ", ".join(["fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL", *geometry, *columns])
    connection.execute(f"CREATE TABLE {table} ({body})")
    bounds: tuple[float | None, ...] = (None, None, None, None)
    if layer.geometry_type:
        shapes = [feature.geometry for feature in layer.features]
        if shapes:
            bounds = tuple(float(v) for v in shapely.total_bounds(shapes))
        connection.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)",
            (layer.name, layer.geometry_type, srs_id),
        )
    connection.execute(
        "INSERT INTO gpkg_contents VALUES (?, ?, ?, '', ?, ?, ?, ?, ?, ?)",
        (
            layer.name,
            "features" if layer.geometry_type else "attributes",
            layer.name,
            _LAST_CHANGE,
            *bounds,
            srs_id if layer.geometry_type else None,
        ),
    )
    width = 1 + len(geometry) + len(columns)
    connection.executemany(
        f"INSERT INTO {table} VALUES ({', '.join('?' * width)})",
        [
            (
                feature.fid,
                *([_geometry_blob(feature.geometry, srs_id)] if geometry else []),
                *(feature.columns.get(name) for name in layer.columns),
            )
            for feature in layer.features
        ],
    )


def _geometry_blob(shape: BaseGeometry | None, srs_id: int) -> bytes | None:
    """GeoPackage binary: header (magic, version, flags, reference system, envelope) and well-known binary."""
    if shape is None:
        return None
    min_x, min_y, max_x, max_y = shape.bounds
    header = b"GP" + struct.pack("<BBi", 0, (1 << 1) | _LITTLE_ENDIAN, srs_id)
    envelope = struct.pack("<4d", min_x, max_x, min_y, max_y)
    return header + envelope + bytes(shapely.to_wkb(shape, byte_order=1, output_dimension=2))


def _fid(cell: Cell) -> int:
    if not isinstance(cell, int):
        raise ValueError(f"expected whole numbers as feature ids, got {type(cell).__name__}")
    return cell


def _wkb(blob: Cell) -> bytes:
    """The well-known binary within GeoPackage binary."""
    if not isinstance(blob, bytes) or blob[:2] != b"GP":
        raise ValueError("expected geometry that starts with GP")
    envelope = (blob[3] >> 1) & 0b111
    wkb = blob[8 + 8 * _ENVELOPE_DOUBLES[envelope] :]
    check_wkb(wkb)
    return wkb
