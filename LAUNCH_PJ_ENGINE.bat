@echo off
rem Double-click to start PJ Engine: the demo while config.yaml says "profile: sim", else the daemon.
rem With arguments it runs that verb instead:  LAUNCH_PJ_ENGINE.bat up --live
setlocal EnableExtensions DisableDelayedExpansion
title PJ Engine
set "PJ_ROOT=%~dp0"
set "PJ_PYTHON="
for %%V in (3.13 3.12 3.11) do call :try_py %%V
if not defined PJ_PYTHON call :try_python
if not defined PJ_PYTHON goto no_python
if not exist "%PJ_ROOT%scripts\pj.py" goto no_files

if not "%~1"=="" goto with_arguments
set "PJ_VERB=up"
%PJ_PYTHON% -c "import re, sys; sys.exit(re.search(r'(?m)^profile: *(paper|live)\b', open(sys.argv[1], encoding='utf-8-sig').read()) is None)" "%PJ_ROOT%config.yaml" >nul 2>nul
if errorlevel 1 set "PJ_VERB=demo"
%PJ_PYTHON% "%PJ_ROOT%scripts\pj.py" %PJ_VERB%
goto ended

:with_arguments
%PJ_PYTHON% "%PJ_ROOT%scripts\pj.py" %*

:ended
set "PJ_CODE=%ERRORLEVEL%"
if "%PJ_CODE%"=="0" if not "%PJ_VERB%"=="demo" exit /b 0
echo.
echo PJ Engine ended with exit code %PJ_CODE%.
if "%PJ_CODE%"=="1" echo A check failed: read the lines above.
if "%PJ_CODE%"=="2" echo The settings or the arguments cannot be used: the line above names what to change.
if "%PJ_CODE%"=="3" echo A service outside does not answer: the line above names it.
if "%PJ_CODE%"=="4" echo A guard has halted trading: see the journal and the logs in the run folder.
goto hold

:no_python
set "PJ_CODE=2"
set "PJ_FOUND="
for /f "tokens=2" %%P in ('python --version 2^>nul') do set "PJ_FOUND=%%P"
if not defined PJ_FOUND echo PJ Engine needs Python 3.11, 3.12 or 3.13, and none was found.
if defined PJ_FOUND echo PJ Engine needs Python 3.11, 3.12 or 3.13, and the one found is %PJ_FOUND%.
echo Install it from python.org with "Add python.exe to PATH" ticked, then start again.
goto hold

:no_files
set "PJ_CODE=2"
echo "%PJ_ROOT%scripts\pj.py" is missing: keep this launcher in the folder of PJ Engine.
echo For the desktop make a shortcut to it instead of moving it.

:hold
if not defined PJ_NO_PAUSE pause
exit /b %PJ_CODE%

:try_py
if defined PJ_PYTHON exit /b 0
py -%1 -c "pass" >nul 2>nul
if not errorlevel 1 set "PJ_PYTHON=py -%1"
exit /b 0

:try_python
call python -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))" >nul 2>nul
if errorlevel 1 exit /b 0
set "PJ_PYTHON=python"
rem A python that is itself a batch file (pyenv-win) would end this one without call.
for %%P in (python.exe) do if "%%~$PATH:P"=="" set "PJ_PYTHON=call python"
exit /b 0
