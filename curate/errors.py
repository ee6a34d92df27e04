"""The error that is shown to the user: what is wrong, where, and how to mend it."""


class CurateError(Exception):
    def __init__(self, what, where="", fix=""):
        super().__init__(what)
        self.what, self.where, self.fix = what, where, fix
